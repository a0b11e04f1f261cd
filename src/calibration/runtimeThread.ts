/**
 * ONNX Runtime in a thread of its own, in Node, Bun and Deno. There a run blocks the thread that calls it, the wasm build and
 * the native one, often for seconds. So that timers, signals and aborts are handled meanwhile, the runs are somewhere else. The
 * process has one such thread, because the wasm build reads its number of threads once. A thread that dies is an error
 * of its calls; the next model that is loaded starts another one.
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

let current: Remote<RuntimeApi> | undefined
let terminate = async (): Promise<void> => {}

/** The thread. It keeps the process alive while it is called. */
function thread(start: NonNullable<typeof startThread>): Remote<RuntimeApi> {
  if (current !== undefined) return current
  const alarm = createAlarm()
  const worker = start((reason) => {
    if (current === call) current = undefined
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
  current = call
  terminate = () => {
    remote.release()
    return worker.terminate()
  }
  return call
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
  let name = await thread(start)('open', build, threads)
  return {
    get name() {
      return name
    },
    async load(model, options) {
      const call = thread(start)
      const copy = model.slice()
      const loaded = await call('load', build, threads, transfer(copy, [copy.buffer]), options)
      name = loaded.name
      return sessionOf(call, loaded)
    },
  }
}

function sessionOf(call: Remote<RuntimeApi>, { session, inputs, outputs }: LoadedModel): RunnerSession {
  let seconds: number | undefined
  return {
    inputs,
    outputs,
    get seconds() {
      return seconds
    },
    async run(feeds, fetches) {
      const ran = await call('run', session, copyOf(feeds), fetches)
      seconds = ran.seconds
      return ran.tensors
    },
    close: () => call('close', session),
  }
}

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
