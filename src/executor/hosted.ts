/**
 * The page's side of an executor in one worker (host.ts): for pages that may not share memory. Samples are copied once, into
 * buffers that are then handed over; the page itself computes nothing and is never blocked.
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
import { type BatchSource, type HostAnswer, type HostApi, plain, revive } from './host.js'

interface RunFor {
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((fraction: number) => void) | undefined
}

/** @param spawn starts the worker; tests put the host where they want it. */
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

  /** One call of the host: its answer, or its failure as the error that it was. */
  async function call<T>(
    batches: Batches,
    { signal, onProgress }: RunFor,
    act: (source: BatchSource & ReturnType<typeof proxy<BatchSource>>) => Promise<HostAnswer<T>>,
  ): Promise<T> {
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
    observe: (shape, batches, { signal, onProgress, from, ...options }) =>
      turns.take(async () => {
        const given = { ...options, from: from && plain(from) }
        return revive(
          await call(batches, { signal, onProgress }, (source) => remote.observe(shape, source, given)),
        )
      }, signal),
    solve: (observations, requests, { signal, onProgress, ...options }) =>
      turns.take(
        () =>
          call([], { signal, onProgress }, (source) =>
            remote.solve(observations && plain(observations), source, requests.map(owned), options),
          ),
        signal,
      ),
    measure: (shape, batches, request, solution, { signal, onProgress, ...options }) =>
      turns.take(
        () =>
          call(batches, { signal, onProgress }, (source) =>
            remote.measure(shape, source, owned(request), solution, options),
          ),
        signal,
      ),
    close,
  }
}

/** A clone of a view takes its whole buffer along, which may be somebody's heap. */
const owned = (request: SolveRequest): SolveRequest => ({ ...request, weights: request.weights.slice() })

interface OpenSource extends BatchSource {
  /** What reading a batch or reporting progress threw here, before comlink takes its class away. */
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
      // Not awaited: a source that is busy, or stuck, would keep an abort or a failure waiting.
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
