/**
 * An executor that has large layers solved by the workers of a cluster, each a range of the neurons: neurons do not know of each
 * other, so the codes are those of one machine. Small layers are solved here, because their H and G take longer to travel.
 */
import { untilAborted } from '../aborts.js'
import type { Executor } from '../executor/executor.js'
import { GRID } from '../methods/alphabet.js'
import type { Observations } from '../methods/observations.js'
import { joinNeurons, requestOf, type SolveRequest } from '../methods/solution.js'
import { type SolveOptions, type SolveResult, whyWhole } from '../methods/solve.js'
import { VERSION } from '../version.js'
import { PANEL } from '../wasm/kernels.js'
import type { Jobs } from './jobs.js'
import { type Asked, askedBytes, solvedFrom } from './solveMessages.js'

/** Multiplications and additions a thread makes in a second, and bytes a store moves: rough, and no result depends on them. */
const RATE = 1e10
const NETWORK = 1e8

export function spreadSolve(local: Executor, jobs: Jobs): Executor {
  const { mode, threads, fastMath } = local
  return {
    ...{ mode, threads, fastMath },
    get peakMemoryBytes() {
      return local.peakMemoryBytes
    },
    observe: (shape, batches, options) => local.observe(shape, batches, options),
    measure: (shape, batches, request, solution, options) =>
      local.measure(shape, batches, request, solution, options),
    close: () => local.close(),
    async solve(observations, requests, options) {
      const { neurons, signal } = options
      const own = neurons === undefined ? requests : requests.map((request) => requestOf(request, neurons))
      const parts =
        observations === null || whyWhole(requests, options.recipe) !== null
          ? 1
          : partsOf(observations, own, await untilAborted(signal, jobs.workers()), threads)
      return observations !== null && parts > 1
        ? solveSpread(jobs, observations, own, parts, options)
        : local.solve(observations, requests, options)
    },
  }
}

/**
 * The number of parts, one for each worker at most, that takes the least time: more parts solve faster, but H and G travel to the
 * store, and from there to the worker of each part. 1: the coordinator solves.
 */
function partsOf(
  { shape, sums }: Observations,
  requests: readonly SolveRequest[],
  workers: number,
  threads: number,
): number {
  const columns = requests.reduce(
    (sum, { shape: { neurons }, search }) => sum + neurons * (search === 'none' ? 2 : 2 + GRID.length),
    0,
  )
  const solving = (shape.groups * shape.inputs ** 2 * columns) / (RATE * threads)
  const travelling = sums.reduce((sum, { values }) => sum + values.byteLength, 0) / NETWORK
  const seconds = (parts: number): number =>
    parts === 1 ? solving : solving / parts + travelling * (parts + 1)
  let best = 1
  for (let parts = 2; parts <= workers; parts++) if (seconds(parts) < seconds(best)) best = parts
  return best
}

async function solveSpread(
  jobs: Jobs,
  observations: Observations,
  requests: readonly SolveRequest[],
  count: number,
  { recipe, signal, place, onProgress }: SolveOptions,
): Promise<SolveResult> {
  const hash = await untilAborted(
    signal,
    jobs.give(() => observations.bytes, true),
  )
  let done = 0
  const parts = Array.from({ length: count }, (_, part) => partOf(requests, part, count)).filter(
    (own) => own.length > 0,
  )
  const results = await Promise.all(
    parts.map(async (part, i) => {
      const asked: Asked = { recipe, place, requests: part.map(({ request }) => request) }
      const task = {
        version: VERSION,
        observations: hash,
        asked: await jobs.give(() => askedBytes(asked), true),
      }
      const name = `cluster, ${place}, neurons ${i + 1} of ${parts.length}`
      const solved = solvedFrom(await jobs.ask(task, name, signal, true), asked)
      onProgress?.(++done / parts.length)
      return solved
    }),
  )
  const solutions = requests.map((_, index) =>
    joinNeurons(parts.flatMap((part, i) => results[i]!.solutions.filter((_, j) => part[j]!.index === index))),
  )
  // The observations are the same, so every part has the same dead inputs and notes.
  return { ...results[0]!, solutions }
}

/**
 * A range of the neurons of each request, of whole panels; requests that have none left out. A request for the error of a layer stays
 * whole: it is in one part.
 */
const partOf = (
  requests: readonly SolveRequest[],
  part: number,
  parts: number,
): readonly { readonly index: number; readonly request: SolveRequest }[] =>
  requests.flatMap((request, index) => {
    if (request.withError === true) return index % parts === part ? [{ index, request }] : []
    const { neurons } = request.shape
    const step = PANEL * Math.ceil(neurons / parts / PANEL)
    const range = { from: Math.min(neurons, part * step), to: Math.min(neurons, (part + 1) * step) }
    return range.from === range.to ? [] : [{ index, request: requestOf(request, range) }]
  })
