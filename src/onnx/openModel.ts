/**
 * A model that is decoded once and then passed around: what a caller feeds, what comes out, which other files hold
 * weights, and bytes that ONNX Runtime loads without a file system. The inputs are read from the file itself, so that
 * data is checked before ONNX Runtime starts. External data is read on the first call that needs it.
 */
import type { ModelProto, ValueInfoProto } from 'onnx-buf'
import { untilAborted } from '../aborts.js'
import { checkSignal, typeError } from '../checks.js'
import { GpfqError } from '../errors.js'
import type { RunnerInput, TensorType } from '../tensor/tensor.js'
import { externalDataPaths, type ReadExternalData, resolveExternalData } from './externalData.js'
import { decodeModel, encodeModel, graphOf, opsetOf } from './model.js'
import { ELEM_TYPES, typeName } from './tensor.js'

/** Where the bytes of a file come from. */
export interface ByteSource {
  readonly byteLength: number
  /** The bytes from `from` up to, and without, `to`. */
  slice(from: number, to: number): Promise<Uint8Array> | Uint8Array
}

/** A decoded model. */
export interface Model {
  /** Bytes of the model's file, external data apart. */
  readonly byteLength: number
  /** The file as decoded: its weights are views of the file, and values in other files are missing. */
  readonly proto: ModelProto
  /** What a caller has to feed: graph inputs that are not initializers with a default. */
  readonly inputs: readonly RunnerInput[]
  /** Names of the graph outputs. */
  readonly outputs: readonly string[]
  /** Version of the default operator set. */
  readonly opset: number
  /** Relative paths of the external data files that the model names; empty if the file holds all weights. */
  readonly externalData: readonly string[]
  /**
   * The model with all values inside it. External data is read on the first call and kept; a failed read is not kept,
   * so that the next call tries again. `bytes` counts the model's file and its external data.
   * @throws GpfqError INVALID_DATA if external data is needed and there is no reader, INVALID_MODEL if it does not fit
   */
  whole(): Promise<WholeModel>
  /**
   * Bytes that ONNX Runtime loads without a file system: the file's own, or with external data written into them.
   * @throws GpfqError as `whole`, and UNSUPPORTED_MODEL if the result is too large for one file
   */
  runnable(): Promise<Uint8Array>
}

/** A model with all of its values, and how many bytes were read for it. */
export interface WholeModel {
  readonly proto: ModelProto
  readonly bytes: number
  /** Its external data, in the order of `Model.externalData`. */
  readonly files: readonly Uint8Array[]
}

/**
 * Reads and decodes a model.
 * @param source bytes of an .onnx file, or where they come from
 * @param readExternalData reads a file beside the model by its relative path; needed for models with external data
 * @param signal ends the wait for the source
 * @throws GpfqError INVALID_MODEL, UNSUPPORTED_MODEL; what the source throws passes through; the signal's reason
 * @example
 * const model = await openModel(new Uint8Array(await file.arrayBuffer()))
 * console.log(model.inputs, model.opset)
 */
export async function openModel(
  source: Uint8Array | ByteSource,
  readExternalData?: ReadExternalData,
  signal?: AbortSignal,
): Promise<Model> {
  checkSignal(signal)
  signal?.throwIfAborted()
  const bytes = await untilAborted(signal, bytesOf(source))
  const proto = decodeModel(bytes)
  const externalData = externalDataPaths(proto)
  let resolved: Promise<WholeModel> | undefined
  const whole = (): Promise<WholeModel> => {
    if (resolved === undefined) {
      const reading = readWhole(proto, bytes.length, externalData, readExternalData)
      resolved = reading
      reading.catch(() => {
        resolved = undefined
      })
    }
    return resolved
  }
  return {
    byteLength: bytes.length,
    proto,
    inputs: inputsOf(proto),
    outputs: graphOf(proto).output.map(({ name }) => name),
    opset: opsetOf(proto),
    externalData,
    whole,
    runnable: async () => (externalData.length === 0 ? bytes : encodeModel((await whole()).proto)),
  }
}

async function bytesOf(source: Uint8Array | ByteSource): Promise<Uint8Array> {
  const bytes = source instanceof Uint8Array ? source : await source.slice(0, source.byteLength)
  // The slice of an ArrayBuffer is an ArrayBuffer, and looks like a source to callers that no compiler checks.
  if (!(bytes instanceof Uint8Array))
    throw typeError({ place: 'model', expected: 'its bytes as a Uint8Array', got: typeof bytes })
  if (bytes.length !== source.byteLength)
    throw new GpfqError('INVALID_MODEL', {
      place: 'model',
      expected: `${source.byteLength} bytes from its source`,
      got: String(bytes.length),
    })
  return bytes
}

async function readWhole(
  proto: ModelProto,
  fileBytes: number,
  externalData: readonly string[],
  read: ReadExternalData | undefined,
): Promise<WholeModel> {
  const files: Uint8Array[] = []
  const resolved = await resolveExternalData(proto, async (path) => {
    if (read === undefined)
      throw new GpfqError('INVALID_DATA', {
        place: 'model',
        problem: `its weights are in other files: ${externalData.join(', ')}`,
        hint: 'pass readExternalData',
      })
    const data = await read(path)
    files.push(data)
    return data
  })
  return { proto: resolved, bytes: files.reduce((sum, { length }) => sum + length, fileBytes), files }
}

/** What a caller has to feed, with the types and shapes that the file declares. */
export function inputsOf(model: ModelProto): readonly RunnerInput[] {
  const graph = graphOf(model)
  const initialized = new Set(graph.initializer.map(({ name }) => name))
  return graph.input.filter(({ name }) => !initialized.has(name)).map(declaredValue)
}

/** The type and shape that the file declares for an input or an output. */
export function declaredValue({ name, type }: ValueInfoProto): RunnerInput {
  if (type?.value.case !== 'tensorType') return { name, type: 'not a tensor', dims: [] }
  const { elemType, shape } = type.value.value
  const dims = shape?.dim.map(({ value }) => {
    // Exporters write −1 or 0 for a size that is not known; ONNX Runtime takes −1 as any size.
    if (value.case === 'dimValue') return value.value > 0n ? Number(value.value) : null
    return value.case === 'dimParam' ? value.value : null
  })
  return { name, type: tensorTypeOf(elemType) ?? typeName(elemType), dims: dims ?? null }
}

function tensorTypeOf(elemType: number): TensorType | undefined {
  const types = Object.keys(ELEM_TYPES) as TensorType[]
  return types.find((type) => ELEM_TYPES[type] === elemType)
}
