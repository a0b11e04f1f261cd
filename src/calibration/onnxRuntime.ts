/**
 * ONNX Runtime as a Runner: the WebAssembly build (browser, Node, Bun, Deno) and the native one. Both are optional to
 * install and are imported when a runner is created. This file imports no Node module, so it runs in a page. Where there are
 * threads for it, a runner is in one of its own (runtimeThread.ts).
 *
 * Two settings are fixed. The wasm provider is the default, because its results are the same bytes everywhere and for any thread
 * count we tried; those of a GPU are not (webGpuRunner.ts). The thread counts are set. All others have their defaults, so that a
 * written model is checked as other programs will run it.
 */

import { openWebGpu } from '#webGpu'
import { GpfqError } from '../errors.js'
import { FATAL_ONLY, loadSession, missing, type OrtModule, optimizations } from './ortSession.js'
import type { Runner } from './runner.js'
import { type Build, createThreadRunner } from './runtimeThread.js'

/** Options of every runner on ONNX Runtime. */
export interface OrtRunnerOptions {
  /** Threads of ONNX Runtime's own pool. Default: 1. In a page more than one need cross-origin isolation. */
  readonly threads?: number
}

/** Options of a runner on onnxruntime-web. */
export interface OrtWebRunnerOptions extends OrtRunnerOptions {
  /** An onnxruntime-web that the caller has imported, for instance from its own URL. Default: the installed package. */
  readonly ort?: OrtModule
}

/**
 * Creates a runner on onnxruntime-web's wasm provider. The page or process has one thread count: ONNX Runtime reads it
 * when the first session is created.
 * @param options threads, or an onnxruntime-web of one's own
 * @throws GpfqError RUNTIME_MISSING if onnxruntime-web does not load
 * @example
 * const runner = await createOrtWebRunner({ threads: 4 })
 */
export async function createOrtWebRunner({ ort, threads = 1 }: OrtWebRunnerOptions = {}): Promise<Runner> {
  const apart = ort === undefined ? await createThreadRunner('web', threads) : null
  return apart ?? createWebHere(threads, ort)
}

/** A runner in this thread, which its runs block. */
export const createOrtHere = (build: Build, threads: number): Promise<Runner> =>
  build === 'web' ? createWebHere(threads) : createNativeHere(threads)

async function createWebHere(threads: number, given?: OrtModule): Promise<Runner> {
  const ort = given ?? (await importWeb())
  ort.env.logLevel = 'fatal'
  ort.env.wasm.numThreads = threads
  return {
    get name() {
      return `onnxruntime-web ${ort.env.versions.web ?? ort.env.versions.common} (wasm, ${threadCount(ort.env.wasm.numThreads ?? threads)})`
    },
    load: (model, options) =>
      loadSession(ort, model, {
        executionProviders: ['wasm'],
        logSeverityLevel: FATAL_ONLY,
        ...optimizations(options),
      }),
  }
}

/**
 * Creates a runner on onnxruntime-node, native code on the CPU.
 * @param options threads
 * @throws GpfqError RUNTIME_MISSING if onnxruntime-node does not load
 * @example
 * const runner = await createOrtNodeRunner({ threads: 4 })
 */
export async function createOrtNodeRunner({ threads = 1 }: OrtRunnerOptions = {}): Promise<Runner> {
  return (await createThreadRunner('native', threads)) ?? createNativeHere(threads)
}

async function createNativeHere(threads: number): Promise<Runner> {
  const ort = await importNative('onnxruntime-node')
  return {
    name: `onnxruntime-node ${ort.env.versions.node ?? ort.env.versions.common} (cpu, ${threadCount(threads)})`,
    load: (model, options) =>
      loadSession(ort, model, {
        ...optimizations(options),
        executionProviders: ['cpu'],
        logSeverityLevel: FATAL_ONLY,
        intraOpNumThreads: threads,
        interOpNumThreads: 1,
      }),
  }
}

/** Options of createRunner. */
export interface RunnerOptions extends OrtRunnerOptions {
  /**
   * In a page `webgpu` runs models on the GPU, and in wasm what does not run there; `auto` does so where there is an adapter.
   * Activations of a GPU are not the same bytes everywhere. Default `wasm`; outside of pages this is the processor.
   */
  readonly device?: 'wasm' | 'webgpu' | 'auto'
}

/**
 * Creates the native runner if onnxruntime-node is installed, else the WebAssembly one, or in a page one on the GPU.
 * @param options threads and the device
 * @throws GpfqError RUNTIME_MISSING if no build is installed, or there is no GPU for device `webgpu`
 * @example
 * const { model, report } = await quantizeModel(bytes, { calibration, runner: await createRunner() })
 */
export async function createRunner({ device = 'wasm', ...options }: RunnerOptions = {}): Promise<Runner> {
  if (device !== 'wasm') {
    const onGpu = await openWebGpu?.(() => createOrtWebRunner(options))
    if (onGpu !== undefined && onGpu !== null) return onGpu
    if (device === 'webgpu') throw noWebGpu()
  }
  return createInstalled((build) =>
    build === 'web' ? createOrtWebRunner(options) : createOrtNodeRunner(options),
  )
}

function noWebGpu(): GpfqError {
  const problem = openWebGpu === null ? 'it runs in pages alone' : 'this browser has no adapter for it'
  return new GpfqError('RUNTIME_MISSING', { place: 'WebGPU', problem, hint: "use device 'wasm' or 'auto'" })
}

/** The same in this thread, for a process that measures its memory. */
export const createRunnerHere = ({ threads = 1 }: OrtRunnerOptions): Promise<Runner> =>
  createInstalled((build) => createOrtHere(build, threads))

async function createInstalled(create: (build: Build) => Promise<Runner>): Promise<Runner> {
  try {
    return await create('native')
  } catch (error) {
    if (!(error instanceof GpfqError && error.code === 'RUNTIME_MISSING')) throw error
  }
  return create('web')
}

/**
 * Imports onnxruntime-web. The conditions of package.json choose the main entry in Node, pageRuntime.ts in pages, and
 * noRuntime.ts in edge runtimes.
 */
async function importWeb(): Promise<OrtModule> {
  try {
    return await import('#onnxruntime')
  } catch (cause) {
    throw missing('onnxruntime-web', cause)
  }
}

/** Imports a native package. Its name is a parameter and not a literal, so that no bundler includes it. */
async function importNative(specifier: string): Promise<OrtModule> {
  try {
    const module: OrtModule & { default?: OrtModule } = await import(
      /* @vite-ignore */ /* webpackIgnore: true */ specifier
    )
    return module.InferenceSession === undefined && module.default !== undefined ? module.default : module
  } catch (cause) {
    throw missing(specifier, cause)
  }
}

function threadCount(threads: number): string {
  return threads === 1 ? '1 thread' : `${threads} threads`
}
