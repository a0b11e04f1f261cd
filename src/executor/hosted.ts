/**
 * The page's side of an executor in one worker (host.ts), for pages that cannot share memory. Each batch is copied once,
 * into buffers that are transferred to the worker. The page computes nothing and is never blocked.
 */
import { awaitStart, createAlarm, workerFailed } from '../engine/alarm.js'
import { connect, transfer } from '../engine/calls.js'
import { closedError, createTurns } from '../engine/turns.js'
import type { Batches } from '../methods/observeOptions.js'
import type { SampleBatch } from '../methods/samples.js'
import type { SolveRequest } from '../methods/solution.js'
import { spawnWorker } from '../platform/init.js'
import { memoizeAsync } from '../platform/memoizeAsync.js'
import type { SpawnedWorker } from '../platform/worker.js'
import type { Executor } from './executor.js'
import { type HostApi, type PageApi, revive } from './host.js'

/** Says once how a page can have more workers. */
export const warnOnce = memoizeAsync(async () =>
  console.warn(
    'gpfq: this page cannot share memory, so there is one worker only; for more, serve it with ' +
      'Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp',
  ),
)

interface RunFor {
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((fraction: number) => void) | undefined
}

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
  const fail = (reason: string): void => alarm.raise(workerFailed(reason))
  const worker = await awaitStart(alarm.race(spawn(fail)), fail)
  const turns = createTurns()
  let source = readBatches([], undefined)
  let peakMemoryBytes = 0
  const page: PageApi = {
    next: () => source.next(),
    onProgress: (fraction) => source.onProgress(fraction),
    onPeak(bytes) {
      peakMemoryBytes = bytes
    },
  }
  const remote = connect<HostApi>(worker.port, () => page)
  let closed = false
  async function close(): Promise<void> {
    if (closed) return
    closed = true
    alarm.raise(closedError())
    remote.release()
    await worker.terminate()
  }
  try {
    await awaitStart(alarm.race(remote('open', module)), fail)
    worker.hold(false)
  } catch (error) {
    await close()
    throw error
  }

  /** Makes one call of the host in its turn. @throws the error that the verb failed with */
  const call = <T>(batches: Batches, run: RunFor, act: () => Promise<T>): Promise<T> =>
    turns.take(() => callNow(batches, run, act), run.signal)

  async function callNow<T>(
    batches: Batches,
    { signal, onProgress }: RunFor,
    act: () => Promise<T>,
  ): Promise<T> {
    if (closed) throw closedError()
    signal?.throwIfAborted()
    const own = readBatches(batches, onProgress)
    source = own
    const abort = (): void => {
      own.end()
      if (!closed) void remote('abort')
    }
    signal?.addEventListener('abort', abort)
    worker.hold(true)
    try {
      const value = await alarm.race(
        act().catch((error: unknown) => {
          signal?.throwIfAborted()
          throw own.error ?? error
        }),
      )
      signal?.throwIfAborted()
      if (own.error !== undefined) throw own.error
      return value
    } finally {
      worker.hold(false)
      signal?.removeEventListener('abort', abort)
      own.end()
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
      revive(await call(batches, { signal, onProgress }, () => remote('observe', shape, options))),
    solve: (observations, requests, { signal, onProgress, ...options }) =>
      call([], { signal, onProgress }, () => remote('solve', observations, requests.map(owned), options)),
    measure: (shape, batches, request, solution, { signal, onProgress, ...options }) =>
      call(batches, { signal, onProgress }, () =>
        remote('measure', shape, owned(request), solution, options),
      ),
    close,
  }
}

/** Copies the weights, because a structured clone of a view copies the whole buffer, which can be much larger. */
const owned = (request: SolveRequest): SolveRequest => ({ ...request, weights: request.weights.slice() })

interface OpenSource extends Omit<PageApi, 'onPeak'> {
  /** The error that reading a batch or reporting progress threw, as it was before it is posted. */
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
        return transfer(copy, [copy.x.buffer, copy.xq?.buffer])
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
