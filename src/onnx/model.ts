/**
 * Bytes of an .onnx file in, a ModelProto out, and back. protobuf-es keeps unknown fields and reads byte fields
 * as views of the file, so reading a model copies no weights and writing an untouched model gives the bytes it
 * came from.
 *
 * Messages are shared between the input model and every model derived from it: nothing on this floor writes to a
 * message it did not make. Whoever changes one makes a `shallowCopy` first.
 */
import { create, fromBinary, type Message, toBinary } from '@bufbuild/protobuf'
import { type GraphProto, type ModelProto, ModelProtoSchema, OperatorSetIdProtoSchema } from 'onnx-buf'
import { GpfqError } from '../errors.js'

/** The oldest operator set whose broadcasting and BatchNormalization mean what they mean today. */
const OLDEST_OPSET = 7

/** First bytes of files that people pass by mistake. */
const FOREIGN: readonly (readonly [magic: readonly number[], kind: string])[] = [
  [[0x50, 0x4b, 0x03, 0x04], 'a zip archive (a PyTorch checkpoint or .npz file?)'],
  [[0x1f, 0x8b], 'a gzip file: unpack it first'],
  [[0x89, 0x50, 0x4e, 0x47], 'a PNG image'],
  [[0x93, 0x4e, 0x55, 0x4d], 'a NumPy .npy file'],
  [[0x89, 0x48, 0x44, 0x46], 'an HDF5 file (a Keras model? convert it to ONNX first)'],
  [[0x76, 0x65, 0x72, 0x73, 0x69, 0x6f, 0x6e, 0x20], 'a Git LFS pointer: run git lfs pull'],
]

/** Reads a model. Throws INVALID_MODEL for anything that is not one, UNSUPPORTED_MODEL below opset 7. */
export function decodeModel(bytes: Uint8Array): ModelProto {
  if (bytes.length === 0) throw invalid('got 0 bytes')
  const foreign = FOREIGN.find(([magic]) => magic.every((byte, i) => bytes[i] === byte))
  if (foreign !== undefined) throw invalid(`got ${foreign[1]}`)
  let model: ModelProto
  try {
    model = fromBinary(ModelProtoSchema, bytes)
  } catch (cause) {
    throw invalid(`got ${bytes.length} bytes that do not parse (truncated?)`, cause)
  }
  const graph = model.graph
  if (graph === undefined) throw invalid(`got ${bytes.length} bytes without a graph`)
  if (graph.output.length === 0) throw invalid('got a graph without outputs')
  const opset = opsetOf(model)
  if (opset < OLDEST_OPSET)
    throw new GpfqError(
      'UNSUPPORTED_MODEL',
      `model: expected opset ${OLDEST_OPSET} or newer, got ${opset}. Convert it with onnx.version_converter first.`,
    )
  return model
}

/** The bytes of an .onnx file. A protobuf message ends at 2 GiB. */
export function encodeModel(model: ModelProto): Uint8Array {
  try {
    return toBinary(ModelProtoSchema, model)
  } catch (cause) {
    throw new GpfqError('UNSUPPORTED_MODEL', `model: expected at most 2 GiB when written, got ${cause}`, {
      cause,
    })
  }
}

function invalid(got: string, cause?: unknown): GpfqError {
  return new GpfqError(
    'INVALID_MODEL',
    `model: expected the bytes of an ONNX model, ${got}.`,
    cause === undefined ? undefined : { cause },
  )
}

/** The graph of a model, which decodeModel has checked for. */
export function graphOf(model: ModelProto): GraphProto {
  if (model.graph === undefined) throw invalid('got one without a graph')
  return model.graph
}

/** Version of the default operator domain. */
export function opsetOf(model: ModelProto): number {
  const entry = model.opsetImport.find(({ domain }) => isDefaultDomain(domain))
  if (entry === undefined) throw invalid('got one that imports no version of the ONNX operators (truncated?)')
  return Number(entry.version)
}

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

/** A message of its own with the same fields, by reference: lists must be replaced, not pushed to. */
export function shallowCopy<T extends Message>(message: T): T {
  return Object.assign(Object.create(Object.getPrototypeOf(message)), message) as T
}
