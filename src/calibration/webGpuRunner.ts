/**
 * A runner on ONNX Runtime's WebGPU provider, in pages. A model that does not run there, for want of an operator, a feature or
 * memory, runs in wasm from then on, as all do once the device is lost; `fellBack` says so once. Operators that the provider lacks
 * run on the CPU within its own session. Runs go one after the other: the GPU has one queue, and copies of tensors are freed
 * between runs only.
 */
import { GpfqError, reasonOf as textOf } from '../errors.js'
import { GpuTensors } from './gpuTensors.js'
import { FATAL_ONLY, loadSession, missing, type OrtModule, optimizations } from './ortSession.js'
import type { LoadOptions, Runner, RunnerSession } from './runner.js'

/** @param createWasm creates the runner that takes over; called when it is needed */
export async function createWebGpuRunner(
  { vendor, architecture }: Pick<GPUAdapterInfo, 'vendor' | 'architecture'>,
  createWasm: () => Promise<Runner>,
): Promise<Runner> {
  const ort = await importWebGpu()
  ort.env.logLevel = 'fatal'
  ort.env.wasm.numThreads = 1
  const device = [vendor, architecture].filter((word) => word !== '').join(' ') || 'a GPU without a name'
  const fallBack = new FallBack(createWasm)
  const tensors = new GpuTensors(ort)
  let turn: Promise<unknown> = Promise.resolve()
  const inTurn = <T>(act: () => Promise<T>): Promise<T> => {
    const result = turn.then(act)
    turn = result.catch(() => undefined)
    return result
  }
  /** The session that was closed last stays open: ONNX Runtime gives the device back with the last session that it has. */
  let closed: RunnerSession | null = null
  let watched = false
  const load = async (model: Uint8Array, options: LoadOptions | undefined): Promise<RunnerSession> => {
    const session = await loadSession(
      ort,
      model,
      {
        executionProviders: ['webgpu'],
        preferredOutputLocation: 'gpu-buffer',
        logSeverityLevel: FATAL_ONLY,
        ...optimizations(options),
      },
      tensors,
    )
    if (!watched) {
      watched = true
      // The types say a promise; version 1.30 has the device itself.
      const { lost } = await ort.env.webgpu.device
      void lost.then(({ message }) => fallBack.lose(message))
    }
    return session
  }
  return {
    name: `onnxruntime-web ${ort.env.versions.web ?? ort.env.versions.common} (webgpu, ${device})`,
    get fellBack() {
      return fallBack.note
    },
    async observe(shape, batches, options) {
      const opened: GPUDevice | undefined = await ort.env.webgpu.device
      if (opened === undefined || fallBack.isLost) return null
      const { isForGpu, observeOnGpu } = await import('../webgpu/observe.js')
      if (!isForGpu(shape, options, opened.limits)) return null
      try {
        return await fallBack.race(() => observeOnGpu(opened, shape, batches(), options))
      } catch (error) {
        options.signal?.throwIfAborted()
        if (error instanceof GpfqError) throw error
        return fallBack.instead(error, async () => null)
      }
    },
    async load(model, options) {
      const inWasm = () => fallBack.load(model, options)
      let here: RunnerSession
      try {
        fallBack.check()
        here = await inTurn(() => load(model, options))
      } catch (error) {
        return fallBack.instead(error, inWasm)
      }
      let other: RunnerSession | null = null
      return {
        inputs: here.inputs,
        outputs: here.outputs,
        async run(feeds, fetches) {
          if (other !== null) return other.run(feeds, fetches)
          try {
            return await inTurn(() => fallBack.race(() => here.run(feeds, fetches)))
          } catch (error) {
            return fallBack.instead(error, async () => {
              const session = await inWasm()
              const results = await session.run(feeds, fetches)
              other = session
              return results
            })
          }
        },
        async close() {
          await other?.close()
          await inTurn(async () => {
            await closed?.close()
            closed = here
          })
        },
      }
    },
  }
}

/** What runs in wasm, and why. */
class FallBack {
  readonly #create: () => Promise<Runner>
  #runner: Promise<Runner> | null = null
  #reason: string | null = null
  #models = 0
  readonly #lost = new AbortController()

  constructor(create: () => Promise<Runner>) {
    this.#create = create
  }

  get note(): string | null {
    if (this.#models === 0) return null
    return `wasm took over ${this.#models === 1 ? 'once' : `${this.#models} times`}, first because: ${this.#reason}`
  }

  /** The device is gone: nothing runs there any more. */
  lose(message: string): void {
    this.#lost.abort(new Error(`the device was lost${message === '' ? '' : ` (${message})`}`))
  }

  get isLost(): boolean {
    return this.#lost.signal.aborted
  }

  /** @throws once the device is lost */
  check(): void {
    this.#lost.signal.throwIfAborted()
  }

  /** A run, or the loss of the device, after which a run need not end. */
  race<T>(run: () => Promise<T>): Promise<T> {
    const { signal } = this.#lost
    return new Promise((resolve, reject) => {
      const fail = (): void => reject(signal.reason)
      if (signal.aborted) return fail()
      signal.addEventListener('abort', fail, { once: true })
      run()
        .then(resolve, reject)
        .finally(() => signal.removeEventListener('abort', fail))
    })
  }

  async load(model: Uint8Array, options: LoadOptions | undefined): Promise<RunnerSession> {
    this.#runner ??= this.#create()
    return (await this.#runner).load(model, options)
  }

  /** Does it in wasm. What fails there too has failed by itself, and counts as no fallback. */
  async instead<T>(error: unknown, act: () => Promise<T>): Promise<T> {
    const result = await act()
    this.#reason ??= textOf(error)
    this.#models++
    return result
  }
}

/** The build with the provider, 27 MB of wasm. */
async function importWebGpu(): Promise<OrtModule> {
  try {
    return await import('onnxruntime-web/webgpu')
  } catch (cause) {
    throw missing('onnxruntime-web', cause)
  }
}
