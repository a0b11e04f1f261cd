/**
 * A model in ONNX Runtime, whichever build and device: loaded, run, and its errors as those of this library. ONNX Runtime's error
 * texts are read here and nowhere else.
 */
import type * as Ort from 'onnxruntime-web'
import { type ErrorFacts, GpfqError } from '../errors.js'
import { HINTS } from '../hints.js'
import { yieldToEventLoop } from '../platform/yieldToEventLoop.js'
import { namedTensors } from '../tensor/named.js'
import type { Feeds, RunnerInput, Tensor, TensorType } from '../tensor/tensor.js'
import { type LoadOptions, type RunnerSession, saysNoMemory } from './runner.js'
import { unknownOperator } from './unknownOperator.js'

export type OrtModule = typeof Ort

/** ONNX Runtime prints warnings about graphs that it optimizes. This level prints fatal errors only. */
export const FATAL_ONLY = 4

/** How tensors come to ONNX Runtime and back. */
export interface Handing {
  give(tensor: Tensor): Ort.Tensor
  take(name: string, value: Ort.OnnxValue): Tensor | Promise<Tensor>
}

/** The error that a package of ONNX Runtime does not load. */
export function missing(name: string, cause: unknown): GpfqError {
  const facts = {
    place: 'ONNX Runtime',
    problem: `the package ${name} does not load (${reasonOf(cause)})`,
    hint: `install it with: npm install ${name}`,
  }
  return new GpfqError('RUNTIME_MISSING', facts, { cause })
}

/** The settings of ONNX Runtime for how a model is loaded. */
export const optimizations = ({ optimized = true }: LoadOptions = {}): Ort.InferenceSession.SessionOptions =>
  optimized ? {} : { graphOptimizationLevel: 'disabled' }

/** Loads a model. @param handing how tensors come and go; by default they are copied */
export async function loadSession(
  ort: OrtModule,
  model: Uint8Array,
  options: Ort.InferenceSession.SessionOptions,
  handing: Handing = { give: (tensor) => toOrt(ort, tensor), take: fromOrt },
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
    run: (feeds, fetches) => run(session, handing, feeds, fetches),
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
  session: Ort.InferenceSession,
  handing: Handing,
  feeds: Feeds,
  fetches: readonly string[] | undefined,
): Promise<Record<string, Tensor>> {
  let results: Ort.InferenceSession.OnnxValueMapType
  checkFetches(session, fetches)
  try {
    const inputs = namedTensors(
      Object.entries(feeds).map(([name, tensor]): [string, Ort.Tensor] => [name, handing.give(tensor)]),
    )
    results = await (fetches === undefined ? session.run(inputs) : session.run(inputs, fetches))
  } catch (cause) {
    const bytes = Object.values(feeds).reduce((sum, { data }) => sum + data.byteLength, 0)
    throw failed('running the model', cause, `a run on inputs of ${mebibytes(bytes)}`)
  }
  await yieldSometimes()
  const taken: [string, Tensor][] = []
  for (const [name, value] of Object.entries(results)) taken.push([name, await handing.take(name, value)])
  return namedTensors(taken)
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

/** A tensor of ONNX Runtime with the same elements. */
export function toOrt(ort: OrtModule, tensor: Tensor): Ort.Tensor {
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

/** The elements of a tensor that is in memory. */
export function fromOrt(name: string, value: Ort.OnnxValue): Tensor {
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
