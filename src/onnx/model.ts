/**
 * Decodes the bytes of an .onnx file into a ModelProto, and encodes it. protobuf-es keeps unknown fields and reads byte
 * fields as views of the file: decoding copies no weights, and encoding an unchanged model gives the same bytes.
 *
 * Messages are shared between the input model and every model made from it. The code in this folder changes only
 * messages that it made itself: a `shallowCopy` of any other.
 */

import { create, fromBinary, type Message, toBinary } from '@bufbuild/protobuf'
import { type GraphProto, type ModelProto, ModelProtoSchema, OperatorSetIdProtoSchema } from 'onnx-buf'
import { GpfqError, reasonOf } from '../errors.js'
import { HINTS } from '../hints.js'

/** The oldest operator set with today's meaning of broadcasting and BatchNormalization. */
const OLDEST_OPSET = 7

/** Messages inside each other: three for each If, Loop or Scan body. All code here that follows bodies is bounded by it. */
const DEEPEST = 100

/** First bytes of files that are passed by mistake. */
const FOREIGN: readonly {
  readonly magic: readonly number[]
  readonly kind: string
  readonly hint?: string
}[] = [
  { magic: [0x50, 0x4b, 0x03, 0x04], kind: 'a zip archive (a PyTorch checkpoint or .npz file?)' },
  { magic: [0x1f, 0x8b], kind: 'a gzip file', hint: 'unpack it first' },
  { magic: [0x89, 0x50, 0x4e, 0x47], kind: 'a PNG image' },
  { magic: [0x93, 0x4e, 0x55, 0x4d], kind: 'a NumPy .npy file' },
  {
    magic: [0x89, 0x48, 0x44, 0x46],
    kind: 'an HDF5 file (a Keras model?)',
    hint: 'convert it to ONNX first',
  },
  {
    magic: [0x76, 0x65, 0x72, 0x73, 0x69, 0x6f, 0x6e, 0x20],
    kind: 'a Git LFS pointer',
    hint: 'run git lfs pull',
  },
]

/**
 * Decodes a model. Its byte fields are views of `bytes`.
 * @throws {GpfqError} INVALID_MODEL for bytes that are not a model, UNSUPPORTED_MODEL below opset 7 or with bodies nested too deeply
 */
export function decodeModel(bytes: Uint8Array): ModelProto {
  if (bytes.length === 0) throw invalid('0 bytes')
  const foreign = FOREIGN.find(({ magic }) => magic.every((byte, i) => bytes[i] === byte))
  if (foreign !== undefined) throw invalid(foreign.kind, foreign.hint)
  let model: ModelProto
  try {
    model = fromBinary(ModelProtoSchema, bytes, { recursionLimit: DEEPEST })
  } catch (cause) {
    if (/recursion depth/.test(reasonOf(cause))) {
      const problem = `its graphs are nested too deeply: at most ${DEEPEST} messages inside each other can be read`
      throw new GpfqError('UNSUPPORTED_MODEL', { place: 'model', problem }, { cause })
    }
    throw invalid(`${bytes.length} bytes that do not parse (truncated?)`, undefined, { cause })
  }
  const graph = model.graph
  if (graph === undefined) throw invalid(`${bytes.length} bytes without a graph`)
  if (graph.output.length === 0) throw invalid('a graph without outputs')
  const opset = opsetOf(model)
  if (opset < OLDEST_OPSET)
    throw new GpfqError('UNSUPPORTED_MODEL', {
      place: 'model',
      expected: `opset ${OLDEST_OPSET} or newer`,
      got: String(opset),
      hint: HINTS['convert-opset'],
    })
  return model
}

/**
 * The bytes of an .onnx file.
 * @throws {GpfqError} UNSUPPORTED_MODEL if they do not fit into a protobuf message, which has at most 2 GiB
 */
export function encodeModel(model: ModelProto): Uint8Array {
  try {
    return toBinary(ModelProtoSchema, model)
  } catch (cause) {
    const facts = { place: 'model', problem: `cannot be written into one file of at most 2 GiB: ${cause}` }
    throw new GpfqError('UNSUPPORTED_MODEL', facts, { cause })
  }
}

function invalid(got: string, hint?: string, options?: ErrorOptions): GpfqError {
  const facts = { place: 'model', expected: 'the bytes of an ONNX model', got }
  return new GpfqError('INVALID_MODEL', hint === undefined ? facts : { ...facts, hint }, options)
}

/**
 * The graph of a model.
 * @throws {GpfqError} INVALID_MODEL without one, which `decodeModel` excludes
 */
export function graphOf(model: ModelProto): GraphProto {
  if (model.graph === undefined) throw invalid('one without a graph')
  return model.graph
}

/**
 * Version of the default operator set.
 * @throws {GpfqError} INVALID_MODEL if the model imports none
 */
export function opsetOf(model: ModelProto): number {
  const entry = model.opsetImport.find(({ domain }) => isDefaultDomain(domain))
  if (entry === undefined) throw invalid('one that imports no version of the ONNX operators (truncated?)')
  return Number(entry.version)
}

/** Whether a domain is that of the ONNX operators, which has two names. */
export function isDefaultDomain(domain: string): boolean {
  return domain === '' || domain === 'ai.onnx'
}

/** The model with `version` of `domain` imported; other imports stay as they are. */
export function withOpset(model: ModelProto, domain: string, version: number): ModelProto {
  const copy = shallowCopy(model)
  const same = (other: string) => other === domain || (isDefaultDomain(other) && isDefaultDomain(domain))
  const rest = model.opsetImport.filter((entry) => !same(entry.domain))
  const old = model.opsetImport.find((entry) => same(entry.domain))
  const entry = old === undefined ? create(OperatorSetIdProtoSchema, { domain }) : shallowCopy(old)
  entry.version = BigInt(version)
  copy.opsetImport = [...rest, entry]
  return copy
}

/** A new message with the same fields by reference. Lists are shared, so replace them and do not push to them. */
export function shallowCopy<T extends Message>(message: T): T {
  return Object.assign(Object.create(Object.getPrototypeOf(message)), message) as T
}
