/**
 * Inputs that dominate a layer: a few that carry most of what its samples sum up to. The errors of all others hardly count
 * beside theirs, so path following gives these others away. Massive activations of language models are of this kind.
 */
import { dequantize } from '../methods/alphabet.js'
import type { Observations } from '../methods/observations.js'
import { inputNorms } from '../methods/sampleChecks.js'
import type { LayerSolution, SolveRequest } from '../methods/solution.js'

/** A dominating input has so many times the median of ‖Xq_t‖². */
const TIMES = 30
/** Dominating inputs are at most this share of all, and carry at least half of the sum of ‖Xq_t‖². */
const MOST = 1 / 8

/** Places (group·inputs + input) of dominating inputs; none where nothing dominates. */
export function dominatingInputs(observations: Observations): readonly number[] {
  const norms = inputNorms(observations)
  const live = norms.filter((norm2) => norm2 > 0).sort()
  const median = live[live.length >> 1] ?? 0
  const found = [...norms.keys()].filter((place) => norms[place]! > TIMES * median)
  const sum = (values: Iterable<number>): number => [...values].reduce((total, value) => total + value, 0)
  const theirs = sum(found.map((place) => norms[place]!))
  return found.length <= MOST * live.length && theirs >= sum(live) / 2 ? found : []
}

/** A request and its solution as if the samples had zeros at these places. */
export function withoutInputs(
  request: SolveRequest,
  solution: LayerSolution,
  places: readonly number[],
): readonly [SolveRequest, LayerSolution] {
  const { neurons } = request.shape
  const without = (values: Float32Array): Float32Array => {
    const out = values.slice()
    for (const place of places) out.fill(0, place * neurons, (place + 1) * neurons)
    return out
  }
  const values = without(dequantize(solution, request.shape))
  return [
    { ...request, weights: without(request.weights) },
    { ...solution, values },
  ]
}
