/**
 * ONNX Runtime in a thread of its own, in Node, Bun and Deno. There a run blocks the thread that calls it, the wasm build and
 * the native one, often for seconds. So that timers, signals and aborts are handled meanwhile, the runs are somewhere else. The
 * process has one such thread, because the wasm build reads its number of threads once. A thread that dies is an error
 * of its calls; the next model that is loaded starts another one. So does a model that follows on much larger ones, where none
 * is open: the memory of the wasm build never shrinks, and goes with its thread.
 */
import { startThread } from '#runtimeThread'
import { createAlarm } from '../engine/alarm.js'
import { connect, type Remote, transfer } from '../engine/calls.js'
import { GpfqError } from '../errors.js'
import { namedTensors } from '../tensor/named.js'
import type { Feeds, RunnerInput, Tensor } from '../tensor/tensor.js'
import type { LoadOptions, Runner, RunnerSession } from './runner.js'

/** Which build of ONNX Runtime. */
export type Build = 'web' | 'native'

/** What the thread offers (workers/runtime.ts). */
export interface RuntimeApi {
  /** @returns the name of its runner */
  open(build: Build, threads: number): Promise<string>
  load(
    build: Build,
    threads: number,
    model: Uint8Array,
    options: LoadOptions | undefined,
  ): Promise<LoadedModel>
  run(session: number, feeds: Feeds, fetches: readonly string[] | undefined): Promise<Outputs>
  close(session: number): Promise<void>
}

export interface LoadedModel {
  readonly session: number
  readonly inputs: readonly RunnerInput[]
  readonly outputs: readonly string[]
  /** Of the runner: it can have fewer threads than it was asked for. */
  readonly name: string
}

export interface Outputs {
  readonly tensors: Record<string, Tensor>
  readonly seconds: number
}

interface Thread {
  readonly call: Remote<RuntimeApi>
  /** Sessions that are open or being loaded. */
  open: number
  /** Bytes of the largest run, inputs and outputs: since the thread began, and since a session was opened with no other open. */
  largest: number
  recent: number
}

/** A thread is replaced where a run had so many bytes, and those of late not a quarter of them. */
const LARGE = 2 ** 27

let current: Thread | undefined
let terminate = async (): Promise<void> => {}

/** The thread. It keeps the process alive while it is called. */
function thread(start: NonNullable<typeof startThread>): Thread {
  if (current !== undefined) return current
  const alarm = createAlarm()
  const worker = start((reason) => {
    if (current?.call === call) current = undefined
    alarm.raise(
      new GpfqError('RUNTIME_FAILED', { place: 'ONNX Runtime', problem: `its thread ended: ${reason}` }),
    )
  })
  const remote = connect<RuntimeApi>(worker.port)
  let calls = 0
  const call: Remote<RuntimeApi> = async (name, ...args) => {
    if (calls++ === 0) worker.hold(true)
    try {
      return await alarm.race(remote(name, ...args))
    } finally {
      if (--calls === 0) worker.hold(false)
    }
  }
  current = { call, open: 0, largest: 0, recent: 0 }
  terminate = () => {
    remote.release()
    return worker.terminate()
  }
  return current
}

/** The thread for a model that is about to be loaded. */
async function roomyThread(start: NonNullable<typeof startThread>, build: Build): Promise<Thread> {
  const { open, largest, recent } = thread(start)
  if (build === 'web' && open === 0 && largest > LARGE && recent < largest / 4) await endThread()
  const own = thread(start)
  if (own.open++ === 0) own.recent = 0
  return own
}

/** Ends the thread, if there is one. It resolves when it has ended: a run can take a while to be stopped. */
export async function endThread(): Promise<true> {
  current = undefined
  await terminate()
  return true
}

/**
 * A runner in the thread; null where there is none: in pages and at the edge.
 * @throws GpfqError RUNTIME_MISSING if the build is not installed
 */
export async function createThreadRunner(build: Build, threads: number): Promise<Runner | null> {
  if (startThread === null) return null
  const start = startThread
  let name = await thread(start).call('open', build, threads)
  return {
    get name() {
      return name
    },
    async load(model, options) {
      const own = await roomyThread(start, build)
      const copy = model.slice()
      try {
        const loaded = await own.call('load', build, threads, transfer(copy, [copy.buffer]), options)
        name = loaded.name
        return sessionOf(own, loaded)
      } catch (error) {
        own.open--
        throw error
      }
    },
  }
}

function sessionOf(own: Thread, { session, inputs, outputs }: LoadedModel): RunnerSession {
  const { call } = own
  let seconds: number | undefined
  let isOpen = true
  return {
    inputs,
    outputs,
    get seconds() {
      return seconds
    },
    async run(feeds, fetches) {
      const ran = await call('run', session, copyOf(feeds), fetches)
      seconds = ran.seconds
      own.recent = Math.max(own.recent, bytesOf(feeds) + bytesOf(ran.tensors))
      own.largest = Math.max(own.largest, own.recent)
      return ran.tensors
    },
    async close() {
      await call('close', session)
      if (isOpen) own.open--
      isOpen = false
    },
  }
}

const bytesOf = (tensors: Feeds): number =>
  Object.values(tensors).reduce((sum, { data }) => sum + data.byteLength, 0)

/** Copies that are handed over: posting a view would copy all of its buffer. */
function copyOf(feeds: Feeds): Feeds {
  const copies = Object.entries(feeds).map(([name, { type, dims, data }]): [string, Tensor] => {
    return [name, { type, dims, data: data.slice() }]
  })
  return transfer(
    namedTensors(copies),
    copies.map(([, { data }]) => data.buffer),
  )
}
