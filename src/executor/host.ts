/**
 * The worker's side of an executor in one worker with its own memory, for pages that cannot share memory (hosted.ts is the
 * page's side). The worker requests batches one by one. Values are posted as plain data.
 */
import { type Remote, transfer } from '../engine/calls.js'
import { createInlinePool } from '../engine/inline.js'
import type { MeasureOptions, OutputSums } from '../methods/measure.js'
import { Observations } from '../methods/observations.js'
import type { ObserveOptions } from '../methods/observeOptions.js'
import type { SampleShape } from '../methods/samplePlan.js'
import type { SampleBatch } from '../methods/samples.js'
import type { LayerSolution, SolveRequest } from '../methods/solution.js'
import type { SolveOptions, SolveResult } from '../methods/solve.js'
import type { Executor } from './executor.js'
import { createLocal } from './local.js'

/** What the page offers to the host: the batches of the call under way, and what it learns of it. */
export interface PageApi {
  /** The next batch, null after the last. */
  next(): Promise<SampleBatch | null>
  onProgress(fraction: number): void
  /** At the end of a call: peak of kernel memory in use so far. */
  onPeak(bytes: number): void
}

/** Options without what cannot be posted. */
export type Posted<T> = Omit<T, 'signal' | 'onProgress'>

/** Observations as a structured clone: fields without methods. */
export type ObservationData = Pick<Observations, 'shape' | 'rows' | 'first' | 'exact' | 'sums'>

/** Observations from their fields. */
export const revive = ({ shape, rows, first, exact, sums }: ObservationData): Observations =>
  new Observations(shape, rows, first, exact, sums)

/** The verbs of an executor as the worker offers them. */
export interface HostApi {
  /** Comes first. @param module the compiled kernels */
  open(module: WebAssembly.Module): Promise<void>
  observe(shape: SampleShape, options: Posted<ObserveOptions>): Promise<ObservationData>
  solve(
    observations: ObservationData | null,
    requests: readonly SolveRequest[],
    options: Posted<SolveOptions>,
  ): Promise<SolveResult>
  measure(
    shape: SampleShape,
    request: SolveRequest,
    solution: LayerSolution,
    options: Posted<MeasureOptions>,
  ): Promise<OutputSums>
  /** Aborts the running call. */
  abort(): void
}

/** The functions that the worker offers to the page. One of the verbs runs at a time. */
export function createHostApi(page: Remote<PageApi>): HostApi {
  let executor: Executor | undefined
  let abortion = new AbortController()

  /** Runs one verb. @param buffers buffers of its value that are transferred, not copied */
  async function run<T extends object>(
    act: (on: Executor, run: { signal: AbortSignal; onProgress: (fraction: number) => void }) => Promise<T>,
    buffers: (value: T) => readonly ArrayBufferLike[],
  ): Promise<T> {
    if (executor === undefined) throw new Error('host: open() must be called first')
    abortion = new AbortController()
    try {
      const value = await act(executor, {
        signal: abortion.signal,
        onProgress: (fraction) => void page('onProgress', fraction),
      })
      return transfer(value, buffers(value))
    } finally {
      void page('onPeak', executor.peakMemoryBytes)
    }
  }

  return {
    async open(module) {
      executor = createLocal('inline', await createInlinePool(module), false)
    },
    observe: (shape, options) =>
      run(
        (on, own) => on.observe(shape, batchesOf(page), { ...options, ...own }),
        ({ sums }) => sums.flatMap(({ values, means }) => [values.buffer, means.buffer]),
      ),
    solve: (observations, requests, options) =>
      run(
        (on, own) => on.solve(observations && revive(observations), requests, { ...options, ...own }),
        ({ solutions }) => solutions.flatMap(({ codes, scales }) => [codes.buffer, scales.buffer]),
      ),
    measure: (shape, request, solution, options) =>
      run(
        (on, own) => on.measure(shape, batchesOf(page), request, solution, { ...options, ...own }),
        () => [],
      ),
    abort: () => abortion.abort(),
  }
}

async function* batchesOf(page: Remote<PageApi>): AsyncIterable<SampleBatch> {
  for (let batch = await page('next'); batch !== null; batch = await page('next')) yield batch
}
