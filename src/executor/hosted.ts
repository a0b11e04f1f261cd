/**
 * The page's side of an executor in one worker (host.ts), for pages that cannot share memory. Each batch is copied once,
 * into buffers that are transferred to the worker. The page computes nothing and is never blocked.
 */
import { proxy, type Remote, releaseProxy, transfer, wrap } from 'comlink'
import { createAlarm, workerFailed } from '../engine/alarm.js'
import { closedError, createTurns } from '../engine/turns.js'
import type { Batches } from '../methods/observeOptions.js'
import type { SampleBatch } from '../methods/samples.js'
import type { SolveRequest } from '../methods/solution.js'
import { spawnWorker } from '../platform/init.js'
import type { SpawnedWorker } from '../platform/worker.js'
import type { Executor } from './executor.js'
import { rebuildFailure } from './failure.js'
import { type BatchSource, type HostAnswer, type HostApi, revive } from './host.js'

interface RunFor {
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((fraction: number) => void) | undefined
}

type Act<T> = (source: BatchSource & ReturnType<typeof proxy<BatchSource>>) => Promise<HostAnswer<T>>

/**
 * Starts the worker and loads the kernels in it.
 * @param spawn starts the worker; tests replace it
 * @throws GpfqError WORKER_FAILED
 */
export async function createHosted(
  module: WebAssembly.Module,
  fastMath: boolean,
  spawn: (onFailure: (reason: string) => void) => Promise<SpawnedWorker> = spawnWorker,
): Promise<Executor> {
  const alarm = createAlarm()
  const worker = await spawn((reason) => alarm.raise(workerFailed(reason)))
  const remote: Remote<HostApi> = wrap<HostApi>(worker.endpoint)
  const turns = createTurns()
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

  /** Makes one call of the host in its turn. @throws the error that the verb failed with */
  const call = <T>(batches: Batches, run: RunFor, act: Act<T>): Promise<T> =>
    turns.take(() => callNow(batches, run, act), run.signal)

  async function callNow<T>(batches: Batches, { signal, onProgress }: RunFor, act: Act<T>): Promise<T> {
    if (closed) throw closedError()
    signal?.throwIfAborted()
    const source = readBatches(batches, onProgress)
    const abort = (): void => {
      source.end()
      if (!closed) void remote.abort()
    }
    signal?.addEventListener('abort', abort)
    try {
      const { outcome, ...facts } = await alarm.race(act(proxy(source)))
      peakMemoryBytes = facts.peakMemoryBytes
      signal?.throwIfAborted()
      if (source.error !== undefined) throw source.error
      if ('failure' in outcome) throw rebuildFailure(outcome)
      return outcome.value
    } finally {
      signal?.removeEventListener('abort', abort)
      source.end()
    }
  }

  return {
    mode: 'worker',
    threads: 1,
    fastMath,
    get peakMemoryBytes() {
      return peakMemoryBytes
    },
    observe: async (shape, batches, { signal, onProgress, ...options }) =>
      revive(await call(batches, { signal, onProgress }, (source) => remote.observe(shape, source, options))),
    solve: (observations, requests, { signal, onProgress, ...options }) =>
      call([], { signal, onProgress }, (source) =>
        remote.solve(observations, source, requests.map(owned), options),
      ),
    measure: (shape, batches, request, solution, { signal, onProgress, ...options }) =>
      call(batches, { signal, onProgress }, (source) =>
        remote.measure(shape, source, owned(request), solution, options),
      ),
    close,
  }
}

/** Copies the weights, because a structured clone of a view copies the whole buffer, which can be much larger. */
const owned = (request: SolveRequest): SolveRequest => ({ ...request, weights: request.weights.slice() })

interface OpenSource extends BatchSource {
  /** The error that reading a batch or reporting progress threw, as it was before comlink posts it without its class. */
  readonly error: unknown
  end(): void
}

function readBatches(batches: Batches, onProgress: ((fraction: number) => void) | undefined): OpenSource {
  let error: unknown
  let ended = false
  let iterator: Iterator<SampleBatch> | AsyncIterator<SampleBatch> | undefined
  let stopWaiting = (): void => {}
  return {
    get error() {
      return error
    },
    end() {
      const left = iterator
      iterator = undefined
      ended = true
      stopWaiting()
      // Not awaited, so an abort or a failure does not wait for a source that is busy or blocked.
      void (async () => left?.return?.())().catch(() => {})
    },
    async next() {
      try {
        if (error !== undefined) throw error
        if (ended) return null
        iterator ??=
          Symbol.asyncIterator in batches ? batches[Symbol.asyncIterator]() : batches[Symbol.iterator]()
        const step = await Promise.race([
          iterator.next(),
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
