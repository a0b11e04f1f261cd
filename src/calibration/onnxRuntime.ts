/**
 * ONNX Runtime behind the Runner interface: the WebAssembly build (browser, Node, Bun, Deno) and the native one.
 *
 * Both are optional to install and are imported only when asked for; this file names no Node module, so that it
 * runs unchanged in a page. What is pinned, and why: the wasm provider alone (its results are the same bytes
 * everywhere and for any thread count we tried); the thread counts; and natively accuracy level 0 for fused
 * MatMulNBits, which otherwise rounds activations to int8 (errors of 1–2 %).
 */
import type * as Ort from 'onnxruntime-web'
import { GpfqError } from '../errors.js'
import { yieldToEventLoop } from '../platform/yieldToEventLoop.js'
import type { Feeds, RunnerInput, Tensor, TensorType } from '../tensor/tensor.js'
import type { Runner, RunnerSession } from './runner.js'

type OrtModule = typeof Ort

export interface OrtRunnerOptions {
  /** Threads of ONNX Runtime's own pool; 1 unless told. In a page more need cross-origin isolation. */
  readonly threads?: number
}

export interface OrtWebRunnerOptions extends OrtRunnerOptions {
  /** An onnxruntime-web that the caller has imported already, for instance from its own URL. */
  readonly ort?: OrtModule
}

/** ONNX Runtime prints warnings about graphs it optimizes; only what makes it give up is of interest. */
const FATAL_ONLY = 4

/**
 * Runs models in onnxruntime-web's wasm provider. The thread count is one per page or process: ONNX Runtime reads
 * it when the first session is made.
 * @throws {GpfqError} RUNTIME_MISSING
 */
export async function createOrtWebRunner(options: OrtWebRunnerOptions = {}): Promise<Runner> {
  const ort = options.ort ?? (await importWeb())
  const threads = options.threads ?? 1
  ort.env.logLevel = 'fatal'
  ort.env.wasm.numThreads = threads
  return {
    get name() {
      return `onnxruntime-web ${ort.env.versions.web ?? ort.env.versions.common} (wasm, ${threadCount(ort.env.wasm.numThreads ?? threads)})`
    },
    load: (model) => load(ort, model, { executionProviders: ['wasm'], logSeverityLevel: FATAL_ONLY }),
  }
}

/**
 * Runs models in onnxruntime-node, native code on the CPU.
 * @throws {GpfqError} RUNTIME_MISSING
 */
export async function createOrtNodeRunner(options: OrtRunnerOptions = {}): Promise<Runner> {
  const ort = await importNative('onnxruntime-node')
  const threads = options.threads ?? 1
  return {
    name: `onnxruntime-node ${ort.env.versions.node ?? ort.env.versions.common} (cpu, ${threadCount(threads)})`,
    load: (model) =>
      load(ort, model, {
        executionProviders: ['cpu'],
        logSeverityLevel: FATAL_ONLY,
        intraOpNumThreads: threads,
        interOpNumThreads: 1,
        extra: { session: { qdq_matmulnbits_accuracy_level: '0' } },
      }),
  }
}

/**
 * The native runner if onnxruntime-node is installed, else the WebAssembly one.
 * @throws {GpfqError} RUNTIME_MISSING if neither is
 */
export async function createRunner(options: OrtRunnerOptions = {}): Promise<Runner> {
  try {
    return await createOrtNodeRunner(options)
  } catch (error) {
    if (!(error instanceof GpfqError && error.code === 'RUNTIME_MISSING')) throw error
  }
  return createOrtWebRunner(options)
}

/** By package.json's conditions: the main entry in Node, pageRuntime.ts in pages, noRuntime.ts at the edge. */
async function importWeb(): Promise<OrtModule> {
  try {
    return await import('#onnxruntime')
  } catch (cause) {
    throw missing('onnxruntime-web', cause)
  }
}

/** A parameter and not a literal, so that no bundler tries to follow it. */
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
  return new GpfqError(
    'RUNTIME_MISSING',
    `ONNX Runtime: expected the package ${name}, got none that loads (${reasonOf(cause)}); install it with: npm install onnxruntime-web`,
    { cause },
  )
}

async function load(
  ort: OrtModule,
  model: Uint8Array,
  options: Ort.InferenceSession.SessionOptions,
): Promise<RunnerSession> {
  let session: Ort.InferenceSession
  try {
    session = await ort.InferenceSession.create(model, options)
  } catch (cause) {
    throw failed('loading the model', cause)
  }
  if (session.inputMetadata === undefined) {
    await session.release()
    throw new GpfqError(
      'RUNTIME_MISSING',
      'ONNX Runtime: expected a version that describes model inputs (1.22 or later), got an older one; update it',
    )
  }
  return {
    inputs: session.inputMetadata.map(describeInput),
    outputs: [...session.outputNames],
    run: (feeds, fetches) => run(ort, session, feeds, fetches),
    close: () => session.release(),
  }
}

function describeInput(input: Ort.InferenceSession.ValueMetadata): RunnerInput {
  return input.isTensor
    ? { name: input.name, type: input.type, dims: input.shape.map((dim) => (dim === '' ? null : dim)) }
    : { name: input.name, type: 'not a tensor', dims: [] }
}

async function run(
  ort: OrtModule,
  session: Ort.InferenceSession,
  feeds: Feeds,
  fetches: readonly string[] | undefined,
): Promise<Record<string, Tensor>> {
  let results: Ort.InferenceSession.OnnxValueMapType
  try {
    const inputs: Record<string, Ort.Tensor> = {}
    for (const [name, tensor] of Object.entries(feeds)) inputs[name] = toOrt(ort, tensor)
    results = await (fetches === undefined ? session.run(inputs) : session.run(inputs, fetches))
  } catch (cause) {
    throw failed('running the model', cause)
  }
  await yieldNowAndThen()
  const outputs: Record<string, Tensor> = {}
  for (const [name, value] of Object.entries(results)) outputs[name] = fromOrt(name, value)
  return outputs
}

let lastYield = 0

/**
 * Lets timers, signals and messages through. The wasm build computes on the calling thread and its promises are
 * settled at once, so a loop over runs would never come back to the event loop by itself.
 */
async function yieldNowAndThen(): Promise<void> {
  if (performance.now() - lastYield < 20) return
  await yieldToEventLoop()
  lastYield = performance.now()
}

function toOrt(ort: OrtModule, tensor: Tensor): Ort.Tensor {
  const { data } = tensor
  // The native binding takes no views of shared memory.
  const own =
    typeof SharedArrayBuffer !== 'undefined' && data.buffer instanceof SharedArrayBuffer ? data.slice() : data
  return new ort.Tensor(tensor.type, own, tensor.dims)
}

function fromOrt(name: string, value: Ort.OnnxValue): Tensor {
  const { type, dims } = value
  const data = dataOf(value)
  if (!isTransferable(type) || data === null)
    throw new GpfqError(
      'RUNTIME_FAILED',
      `ONNX Runtime, tensor '${name}': expected numbers, got ${data === null ? 'a sequence or a map' : type}; exclude the layers behind it`,
    )
  return { type, dims: [...dims], data: type === 'float16' ? bitsOf(data) : data }
}

/** Null where a value is no tensor: then ONNX Runtime throws at the touch. */
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

/** Where the platform has Float16Array ONNX Runtime answers with one; gpfq keeps to the bits. */
function bitsOf(data: ArrayBufferView): Uint16Array {
  return new Uint16Array(data.buffer, data.byteOffset, data.byteLength / 2)
}

function failed(doing: string, cause: unknown): GpfqError {
  return new GpfqError('RUNTIME_FAILED', `ONNX Runtime, ${doing}: ${reasonOf(cause)}`, { cause })
}

/** ONNX Runtime's own words without its numbering. Its wasm build throws a bare number when memory runs out. */
function reasonOf(cause: unknown): string {
  if (typeof cause === 'number') return `out of memory (code ${cause}); use fewer samples at a time`
  const text = cause instanceof Error ? cause.message : String(cause)
  const line = text.replace(/^.*?ERROR_MESSAGE: /s, '').replace(/^\[ONNXRuntimeError\] : \d+ : \w+ : /, '')
  const lines = line.split('\n').map((part) => part.trim())
  return (
    lines
      .filter((part) => part !== '')
      .slice(0, 3)
      .join(' ') || text
  )
}

function threadCount(threads: number): string {
  return threads === 1 ? '1 thread' : `${threads} threads`
}
