/**
 * ONNX Runtime as a Runner: the WebAssembly build (browser, Node, Bun, Deno) and the native one. Both are optional to
 * install and are imported when a runner is created. This file imports no Node module, so it runs in a page. Where there are
 * threads for it, a runner is in one of its own (runtimeThread.ts).
 *
 * Two settings are fixed. The wasm provider is the only one, because its results are the same bytes everywhere and for
 * any thread count we tried. The thread counts are set. All others have their defaults, so that a written model is checked as
 * other programs will run it.
 */

import type * as Ort from 'onnxruntime-web'
import { type ErrorFacts, GpfqError } from '../errors.js'
import { HINTS } from '../hints.js'
import { yieldToEventLoop } from '../platform/yieldToEventLoop.js'
import { namedTensors } from '../tensor/named.js'
import type { Feeds, RunnerInput, Tensor, TensorType } from '../tensor/tensor.js'
import { type LoadOptions, type Runner, type RunnerSession, saysNoMemory } from './runner.js'
import { type Build, createThreadRunner } from './runtimeThread.js'
import { unknownOperator } from './unknownOperator.js'

type OrtModule = typeof Ort

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

/** ONNX Runtime prints warnings about graphs that it optimizes. This level prints fatal errors only. */
const FATAL_ONLY = 4

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
      load(ort, model, {
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
      load(ort, model, {
        ...optimizations(options),
        executionProviders: ['cpu'],
        logSeverityLevel: FATAL_ONLY,
        intraOpNumThreads: threads,
        interOpNumThreads: 1,
      }),
  }
}

/**
 * Creates the native runner if onnxruntime-node is installed, else the WebAssembly one.
 * @param options threads
 * @throws GpfqError RUNTIME_MISSING if neither is installed
 * @function
 * @example
 * const { model, report } = await quantizeModel(bytes, { calibration, runner: await createRunner() })
 */
export const createRunner = (options: OrtRunnerOptions = {}): Promise<Runner> =>
  createInstalled((build) => (build === 'web' ? createOrtWebRunner(options) : createOrtNodeRunner(options)))

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

function missing(name: string, cause: unknown): GpfqError {
  const facts = {
    place: 'ONNX Runtime',
    problem: `the package ${name} does not load (${reasonOf(cause)})`,
    hint: `install it with: npm install ${name}`,
  }
  return new GpfqError('RUNTIME_MISSING', facts, { cause })
}

const optimizations = ({ optimized = true }: LoadOptions = {}): Ort.InferenceSession.SessionOptions =>
  optimized ? {} : { graphOptimizationLevel: 'disabled' }

async function load(
  ort: OrtModule,
  model: Uint8Array,
  options: Ort.InferenceSession.SessionOptions,
): Promise<RunnerSession> {
  let session: Ort.InferenceSession
  try {
    session = await ort.InferenceSession.create(model, options)
  } catch (cause) {
    const facts = unknownOperator(model, reasonOf(cause))
    throw facts === null
      ? failed('loading the model', cause, `a model of ${mebibytes(model.length)}`)
      : new GpfqError('UNSUPPORTED_MODEL', facts, { cause })
  }
  if (session.inputMetadata === undefined) {
    await session.release()
    throw new GpfqError('RUNTIME_MISSING', {
      place: 'ONNX Runtime',
      expected: 'a version that describes model inputs (1.22 or later)',
      got: 'an older one',
      hint: 'update it',
    })
  }
  return {
    inputs: session.inputMetadata.map(describeInput),
    outputs: [...session.outputNames],
    run: (feeds, fetches) => run(ort, session, feeds, fetches),
    close: () => session.release(),
  }
}

function describeInput(input: Ort.InferenceSession.ValueMetadata): RunnerInput {
  // A size that is not known is an empty name, 0, or −1, which comes as 2^32 − 1.
  const isKnown = (dim: number | string): boolean =>
    typeof dim === 'string' ? dim !== '' : dim > 0 && dim < 2 ** 31
  return input.isTensor
    ? { name: input.name, type: input.type, dims: input.shape.map((dim) => (isKnown(dim) ? dim : null)) }
    : { name: input.name, type: 'not a tensor', dims: [] }
}

async function run(
  ort: OrtModule,
  session: Ort.InferenceSession,
  feeds: Feeds,
  fetches: readonly string[] | undefined,
): Promise<Record<string, Tensor>> {
  let results: Ort.InferenceSession.OnnxValueMapType
  checkFetches(session, fetches)
  try {
    const inputs = namedTensors(
      Object.entries(feeds).map(([name, tensor]): [string, Ort.Tensor] => [name, toOrt(ort, tensor)]),
    )
    results = await (fetches === undefined ? session.run(inputs) : session.run(inputs, fetches))
  } catch (cause) {
    const bytes = Object.values(feeds).reduce((sum, { data }) => sum + data.byteLength, 0)
    throw failed('running the model', cause, `a run on inputs of ${mebibytes(bytes)}`)
  }
  await yieldSometimes()
  return namedTensors(
    Object.entries(results).map(([name, value]): [string, Tensor] => [name, fromOrt(name, value)]),
  )
}

let lastYield = 0

/**
 * Yields to the event loop every 20 ms, so that timers, signals and messages are handled. The wasm build computes on the
 * calling thread and its promises settle at once, so a loop over runs does not return to the event loop by itself.
 */
async function yieldSometimes(): Promise<void> {
  if (performance.now() - lastYield < 20) return
  await yieldToEventLoop()
  lastYield = performance.now()
}

function toOrt(ort: OrtModule, tensor: Tensor): Ort.Tensor {
  const { data } = tensor
  // The native binding does not accept views of shared memory.
  const own =
    typeof SharedArrayBuffer !== 'undefined' && data.buffer instanceof SharedArrayBuffer ? data.slice() : data
  return new ort.Tensor(tensor.type, own, tensor.dims)
}

/** Values that are no tensors of numbers are named before the run: ONNX Runtime's own text about them has no name. */
function checkFetches(session: Ort.InferenceSession, fetches: readonly string[] | undefined): void {
  const wanted = new Set(fetches ?? session.outputNames)
  for (const output of session.outputMetadata) {
    if (!wanted.has(output.name)) continue
    if (!output.isTensor) throw notNumbers(output.name, 'a sequence, an optional or a map')
    if (!isTransferable(output.type)) throw notNumbers(output.name, output.type)
  }
}

function notNumbers(name: string, got: string): GpfqError {
  const facts = { place: `ONNX Runtime, tensor '${name}'`, expected: 'numbers', got }
  return new GpfqError('RUNTIME_FAILED', { ...facts, hint: 'exclude the layers after it' })
}

function fromOrt(name: string, value: Ort.OnnxValue): Tensor {
  const { type, dims } = value
  const data = dataOf(value)
  if (!isTransferable(type)) throw notNumbers(name, type)
  if (data === null) throw notNumbers(name, 'a sequence, an optional or a map')
  return { type, dims: [...dims], data: type === 'float16' ? bitsOf(data) : data }
}

/** The elements of a tensor; null for other values, whose `data` throws. */
function dataOf(value: Ort.OnnxValue): Exclude<Ort.Tensor.DataType, string[]> | null {
  try {
    return ArrayBuffer.isView(value.data) ? value.data : null
  } catch {
    return null
  }
}

const TRANSFERABLE: ReadonlySet<string> = new Set<TensorType>([
  'float32',
  'float64',
  'float16',
  'int8',
  'uint8',
  'int16',
  'uint16',
  'int32',
  'uint32',
  'int64',
  'uint64',
  'bool',
])

function isTransferable(type: string): type is TensorType {
  return TRANSFERABLE.has(type)
}

/** float16 elements as their bits. ONNX Runtime returns a Float16Array where the platform has one. */
function bitsOf(data: ArrayBufferView): Uint16Array {
  return new Uint16Array(data.buffer, data.byteOffset, data.byteLength / 2)
}

/**
 * ONNX Runtime's error as one of this library. It has only a text, which is read here and nowhere else. When memory runs
 * out, the wasm build throws a bare number.
 * @param need what takes memory, for an error of memory
 */
function failed(doing: string, cause: unknown, need: string): GpfqError {
  const reason = reasonOf(cause)
  const facts: ErrorFacts = { place: `ONNX Runtime, ${doing}`, problem: reason }
  if (saysNoMemory(reason)) {
    const problem = `it finds no memory for ${need}`
    return new GpfqError('OUT_OF_MEMORY', { ...facts, problem, hint: HINTS['fewer-at-a-time'] }, { cause })
  }
  const isOpset = /\bopset\b/i.test(reason)
  return new GpfqError('RUNTIME_FAILED', isOpset ? { ...facts, hint: HINTS['convert-opset'] } : facts, {
    cause,
  })
}

/** ONNX Runtime's own text without its numbering and the place in its source, at most three lines of it. */
function reasonOf(cause: unknown): string {
  if (typeof cause === 'number') return `out of memory (code ${cause})`
  const text = cause instanceof Error ? cause.message : String(cause)
  const line = text
    .replace(/^.*?ERROR_MESSAGE: /s, '')
    .replace(/^\[ONNXRuntimeError\] : \d+ : \w+ : /, '')
    .replace(/^\/\S+:\d+ [^(]*\((?:[^()]|\([^()]*\))*\) /, '') // where in its source
  const lines = line.split('\n').map((part) => part.trim())
  return (
    lines
      .filter((part) => part !== '')
      .slice(0, 3)
      .join(' ') || text
  )
}

const mebibytes = (bytes: number): string => `${Math.ceil(bytes / 2 ** 20)} MiB`

function threadCount(threads: number): string {
  return threads === 1 ? '1 thread' : `${threads} threads`
}
