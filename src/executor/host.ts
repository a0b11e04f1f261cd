/**
 * The whole quantizer in one worker, with a memory of its own: what a page that may not share memory talks to
 * (src/executor/hosted.ts). Batches are asked for one by one; errors go back as plain data, for comlink loses their class.
 */
import { type ProxyMarked, transfer } from 'comlink'
import { createInlinePool } from '../engine/inline.js'
import { Correlations } from '../methods/correlations.js'
import type { LayerShape } from '../methods/plan.js'
import type { SamplesOptions, SamplesResult } from '../methods/quantizeSamples.js'
import type { SampleBatch } from '../methods/samples.js'
import type { SolveRequest } from '../methods/solution.js'
import type { Executor } from './executor.js'
import { describeFailure, type Failure } from './failure.js'
import { createLocal } from './local.js'

/** The page's end of the batches. */
export interface BatchSource {
  /** Begins anew: the Gram form reads its samples once more to measure the error. */
  restart(): Promise<void>
  next(): Promise<SampleBatch | null>
  onProgress(fraction: number): void
}

export type HostedOptions = Pick<SamplesOptions, 'form' | 'measure' | 'place'>

export interface HostAnswer {
  readonly outcome: SamplesResult | Failure
  readonly peakMemoryBytes: number
}

export interface HostApi {
  open(module: WebAssembly.Module): Promise<void>
  quantizeSamples(
    shape: LayerShape,
    source: BatchSource & ProxyMarked,
    requests: readonly SolveRequest[],
    options: HostedOptions,
  ): Promise<HostAnswer>
  /** Aborts the call that is under way. */
  abort(): void
}

export function createHostApi(): HostApi {
  let executor: Executor | undefined
  let abortion = new AbortController()
  return {
    async open(module) {
      executor = createLocal('inline', await createInlinePool(module), false)
    },
    async quantizeSamples(shape, source, requests, options) {
      if (executor === undefined) throw new Error('host: expected open() first')
      abortion = new AbortController()
      async function* batches(): AsyncIterable<SampleBatch> {
        await source.restart()
        for (let batch = await source.next(); batch !== null; batch = await source.next()) yield batch
      }
      let told: unknown
      try {
        const outcome = await executor.quantizeSamples(shape, batches, requests, {
          ...options,
          Correlations,
          signal: abortion.signal,
          onProgress(fraction) {
            told = source.onProgress(fraction)
          },
        })
        await told // nothing is told after the answer
        const buffers = outcome.solutions.flatMap(({ codes, scales }) => [codes.buffer, scales.buffer])
        return transfer({ outcome, peakMemoryBytes: executor.peakMemoryBytes }, buffers as ArrayBuffer[])
      } catch (error) {
        return { outcome: describeFailure(error), peakMemoryBytes: executor.peakMemoryBytes }
      }
    },
    abort: () => abortion.abort(),
  }
}
