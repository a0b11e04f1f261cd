/**
 * The page's side of the quantizer in one worker (src/executor/host.ts): for pages that may not share memory. Samples are
 * copied once, into buffers that are then handed over; the page itself computes nothing and is never blocked.
 */
import { proxy, type Remote, releaseProxy, transfer, wrap } from 'comlink'
import { createAlarm, workerFailed } from '../engine/alarm.js'
import { closedError } from '../engine/turns.js'
import type { SampleBatch } from '../methods/samples.js'
import { spawnWorker } from '../platform/init.js'
import type { SpawnedWorker } from '../platform/worker.js'
import type { Executor } from './executor.js'
import { rebuildFailure } from './failure.js'
import type { BatchSource, HostApi } from './host.js'

type Batches = Parameters<Executor['quantizeSamples']>[1]

/** @param spawn starts the worker; tests put the host where they want it. */
export async function createHosted(
  module: WebAssembly.Module,
  fastMath: boolean,
  spawn: (onFailure: (reason: string) => void) => Promise<SpawnedWorker> = spawnWorker,
): Promise<Executor> {
  const alarm = createAlarm()
  const worker = await spawn((reason) => alarm.raise(workerFailed(reason)))
  const remote: Remote<HostApi> = wrap<HostApi>(worker.endpoint)
  let closed = false
  async function close(): Promise<void> {
    if (closed) return
    closed = true
    alarm.raise(closedError())
    remote[releaseProxy]()
    await worker.terminate()
  }
  try {
    await alarm.race(remote.open(module))
  } catch (error) {
    await close()
    throw error
  }

  let peakMemoryBytes = 0
  return {
    mode: 'worker',
    threads: 1,
    fastMath,
    get peakMemoryBytes() {
      return peakMemoryBytes
    },
    async quantizeSamples(shape, batches, requests, { signal, onProgress, form, measure, place }) {
      if (closed) throw closedError()
      signal?.throwIfAborted()
      const source = readBatches(batches, onProgress)
      const abort = (): void => {
        source.end()
        if (!closed) void remote.abort()
      }
      signal?.addEventListener('abort', abort)
      try {
        const { outcome, ...facts } = await alarm.race(
          remote.quantizeSamples(
            shape,
            proxy(source),
            // A clone of a view takes its whole buffer along, which may be somebody's heap.
            requests.map((request) => ({ ...request, weights: request.weights.slice() })),
            { form, ...(measure === undefined ? {} : { measure }), place },
          ),
        )
        peakMemoryBytes = facts.peakMemoryBytes
        signal?.throwIfAborted()
        if (source.error !== undefined) throw source.error
        if ('failure' in outcome) throw rebuildFailure(outcome)
        return outcome
      } finally {
        signal?.removeEventListener('abort', abort)
        source.end()
      }
    },
    close,
  }
}

interface OpenSource extends BatchSource {
  /** What reading a batch or telling of progress threw here, before comlink takes its class away. */
  readonly error: unknown
  end(): void
}

function readBatches(batches: Batches, onProgress: ((fraction: number) => void) | undefined): OpenSource {
  let error: unknown
  let iterator: Iterator<SampleBatch> | AsyncIterator<SampleBatch> | undefined
  let stopWaiting = (): void => {}
  const end = (): void => {
    const left = iterator
    iterator = undefined
    stopWaiting()
    // Not awaited: a source that is busy, or stuck, would keep an abort or a failure waiting.
    void (async () => left?.return?.())().catch(() => {})
  }
  return {
    get error() {
      return error
    },
    end,
    async restart() {
      end()
      const iterable = batches()
      iterator =
        Symbol.asyncIterator in iterable ? iterable[Symbol.asyncIterator]() : iterable[Symbol.iterator]()
    },
    async next() {
      try {
        if (error !== undefined) throw error
        const step = await Promise.race([
          iterator?.next(),
          new Promise<undefined>((resolve) => {
            stopWaiting = () => resolve(undefined)
          }),
        ])
        if (step === undefined || step.done === true) return null
        const { x, xq, gather } = step.value
        const copy = { x: x.slice(), xq: xq?.slice() ?? null, gather }
        const buffers = [copy.x.buffer, copy.xq?.buffer].filter((buffer) => buffer instanceof ArrayBuffer)
        return transfer(copy, buffers)
      } catch (cause) {
        error = cause
        throw cause
      }
    },
    onProgress(fraction) {
      try {
        onProgress?.(fraction)
      } catch (cause) {
        error ??= cause
      }
    },
  }
}
