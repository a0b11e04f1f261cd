/**
 * The worker's side of an executor in one worker with its own memory, for pages that cannot share memory (hosted.ts is the
 * page's side). The worker requests batches one by one. Values are posted as plain data, and so are errors, because comlink
 * does not keep their class.
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

/** The page's side of a call: it gives batches and takes progress. */
export interface BatchSource {
  /** The next batch, null after the last. */
  next(): Promise<SampleBatch | null>
  onProgress(fraction: number): void
}

/** Options without what cannot be posted. */
export type Posted<T> = Omit<T, 'signal' | 'onProgress'>

/** Observations as a structured clone: fields without methods. */
export type ObservationData = Pick<Observations, 'shape' | 'rows' | 'first' | 'exact' | 'sums'>

/** Observations from their fields. */
export const revive = ({ shape, rows, first, exact, sums }: ObservationData): Observations =>
  new Observations(shape, rows, first, exact, sums)

/** The fields of observations, which can be posted. */
/** The result of a verb or its failure. */
export interface HostAnswer<T> {
  readonly outcome: { readonly value: T } | Failure
  readonly peakMemoryBytes: number
}

type Source = BatchSource & ProxyMarked

/** The verbs of an executor as the worker offers them. */
export interface HostApi {
  /** Comes first. @param module the compiled kernels */
  open(module: WebAssembly.Module): Promise<void>
  observe(
    shape: SampleShape,
    source: Source,
    options: Posted<ObserveOptions>,
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
  /** Aborts the running call. */
  abort(): void
}

/** The functions that the worker exposes to the page. */
export function createHostApi(): HostApi {
  let executor: Executor | undefined
  let abortion = new AbortController()

  /** Runs one verb. @param buffers buffers of its value that are transferred, not copied */
  async function answer<T>(
    source: Source,
    act: (on: Executor, run: { signal: AbortSignal; onProgress: (fraction: number) => void }) => Promise<T>,
    buffers: (value: T) => readonly ArrayBufferLike[],
  ): Promise<HostAnswer<T>> {
    if (executor === undefined) throw new Error('host: open() must be called first')
    abortion = new AbortController()
    let reported: unknown
    try {
      const value = await act(executor, {
        signal: abortion.signal,
        onProgress(fraction) {
          reported = source.onProgress(fraction)
        },
      })
      await reported // so no report arrives after the answer
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
    observe: (shape, source, options) =>
      answer(
        source,
        (on, run) => on.observe(shape, batchesOf(source), { ...options, ...run }),
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
