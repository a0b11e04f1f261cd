/**
 * Solves layers whose weights do not fit into memory at once in ranges of their neurons, one after another, on the same
 * observations: the same codes (layerMemory.ts says how many ranges).
 */
import type { Executor } from '../executor/executor.js'
import type { Observations } from '../methods/observations.js'
import { joinNeurons, type LayerSolution, type NeuronRange, type SolveRequest } from '../methods/solution.js'
import type { SolveOptions, SolveResult } from '../methods/solve.js'
import { PANEL } from '../wasm/kernels.js'

/**
 * @param parts ranges of each request
 * @throws as Executor.solve
 */
export async function solveInRanges(
  executor: Executor,
  observations: Observations | null,
  requests: readonly SolveRequest[],
  parts: readonly number[],
  options: SolveOptions,
): Promise<SolveResult> {
  if (parts.every((count) => count === 1)) return executor.solve(observations, requests, options)
  const ranges = requests.map(({ shape: { neurons } }, i) => rangesOf(neurons, parts[i]!))
  const count = ranges.flat().length
  const results: SolveResult[] = []
  const solutions: LayerSolution[] = []
  for (const [i, own] of ranges.entries()) {
    const solved: LayerSolution[] = []
    for (const neurons of own) {
      const result = await executor.solve(observations, [requests[i]!], {
        ...{ ...options, neurons: own.length === 1 ? undefined : neurons },
        onProgress: (share) => options.onProgress?.((results.length + share) / count),
      })
      results.push(result)
      solved.push(...result.solutions)
    }
    solutions.push(joinNeurons(solved))
  }
  // The samples are the same, so every range has the same dead inputs and notes.
  return { ...results[0]!, solutions }
}

/** Ranges of whole panels of 8 neurons, as equal as that allows. */
function rangesOf(neurons: number, parts: number): NeuronRange[] {
  const step = PANEL * Math.ceil(neurons / parts / PANEL)
  return Array.from({ length: Math.ceil(neurons / step) }, (_, i) => ({
    from: i * step,
    to: Math.min(neurons, (i + 1) * step),
  }))
}
