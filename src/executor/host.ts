/**
 * The worker's side of an executor that runs in one worker, with a memory of its own: what a page that may not share memory
 * talks to (hosted.ts). Batches are asked for one by one; values travel as plain data; errors go back as plain data, since
 * comlink loses their class.
 */
import { type ProxyMarked, transfer } from 'comlink'
import { createInlinePool } from '../engine/inline.js'
import type { MeasureOptions, OutputSums } from '../methods/measure.js'
import { Observations } from '../methods/observations.js'
import type { ObserveOptions } from '../methods/observeOptions.js'
import type { SampleShape } from '../methods/samplePlan.js'
import type { SampleBatch } from '../methods/samples.js'
import type { LayerSolution, SolveRequest } from '../methods/solution.js'
import type { SolveOptions, SolveResult } from '../methods/solve.js'
import type { Executor } from './executor.js'
import { describeFailure, type Failure } from './failure.js'
import { createLocal } from './local.js'

/** The page's end of a call: batches and progress. */
export interface BatchSource {
  next(): Promise<SampleBatch | null>
  onProgress(fraction: number): void
}

/** Options that can be posted. */
export type Posted<T> = Omit<T, 'signal' | 'onProgress'>

/** Observations as a structured clone makes them: fields without methods. */
export type ObservationData = Pick<Observations, 'shape' | 'rows' | 'first' | 'exact' | 'sums'>

export const revive = ({ shape, rows, first, exact, sums }: ObservationData): Observations =>
  new Observations(shape, rows, first, exact, sums)

export const plain = ({ shape, rows, first, exact, sums }: Observations): ObservationData => ({
  ...{ shape, rows, first, exact, sums },
})

export interface HostAnswer<T> {
  readonly outcome: { readonly value: T } | Failure
  readonly peakMemoryBytes: number
}

type Source = BatchSource & ProxyMarked

export interface HostApi {
  open(module: WebAssembly.Module): Promise<void>
  observe(
    shape: SampleShape,
    source: Source,
    options: Posted<Omit<ObserveOptions, 'from'>> & { readonly from: ObservationData | undefined },
  ): Promise<HostAnswer<ObservationData>>
  solve(
    observations: ObservationData | null,
    source: Source,
    requests: readonly SolveRequest[],
    options: Posted<SolveOptions>,
  ): Promise<HostAnswer<SolveResult>>
  measure(
    shape: SampleShape,
    source: Source,
    request: SolveRequest,
    solution: LayerSolution,
    options: Posted<MeasureOptions>,
  ): Promise<HostAnswer<OutputSums>>
  /** Aborts the call that is under way. */
  abort(): void
}

export function createHostApi(): HostApi {
  let executor: Executor | undefined
  let abortion = new AbortController()

  /** Runs one verb: `buffers` names what of its value is handed over. */
  async function answer<T>(
    source: Source,
    act: (on: Executor, run: { signal: AbortSignal; onProgress: (fraction: number) => void }) => Promise<T>,
    buffers: (value: T) => readonly ArrayBufferLike[],
  ): Promise<HostAnswer<T>> {
    if (executor === undefined) throw new Error('host: expected open() first')
    abortion = new AbortController()
    let reported: unknown
    try {
      const value = await act(executor, {
        signal: abortion.signal,
        onProgress(fraction) {
          reported = source.onProgress(fraction)
        },
      })
      await reported // no report comes after the answer
      const owned = buffers(value).filter((buffer) => buffer instanceof ArrayBuffer)
      return transfer({ outcome: { value }, peakMemoryBytes: executor.peakMemoryBytes }, [...owned])
    } catch (error) {
      return { outcome: describeFailure(error), peakMemoryBytes: executor.peakMemoryBytes }
    }
  }

  return {
    async open(module) {
      executor = createLocal('inline', await createInlinePool(module), false)
    },
    observe: (shape, source, { from, ...options }) =>
      answer(
        source,
        async (on, run) => {
          const given = { ...options, ...run, from: from && revive(from) }
          return plain(await on.observe(shape, batchesOf(source), given))
        },
        ({ sums }) => sums.flatMap(({ values, means }) => [values.buffer, means.buffer]),
      ),
    solve: (observations, source, requests, options) =>
      answer(
        source,
        (on, run) => on.solve(observations && revive(observations), requests, { ...options, ...run }),
        ({ solutions }) => solutions.flatMap(({ codes, scales }) => [codes.buffer, scales.buffer]),
      ),
    measure: (shape, source, request, solution, options) =>
      answer(
        source,
        (on, run) => on.measure(shape, batchesOf(source), request, solution, { ...options, ...run }),
        () => [],
      ),
    abort: () => abortion.abort(),
  }
}

async function* batchesOf(source: BatchSource): AsyncIterable<SampleBatch> {
  for (let batch = await source.next(); batch !== null; batch = await source.next()) yield batch
}
