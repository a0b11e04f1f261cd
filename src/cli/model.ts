/**
 * A model file as the commands need it: its bytes, its inputs (read from the file, so that data is checked before
 * ONNX Runtime starts), and bytes that run on their own, external data packed in.
 */
import type { ModelProto } from 'onnx-buf'
import type { RunnerInput, TensorType } from '../calibration/runner.js'
import { externalDataReader, readBytes } from '../data/files.js'
import { GpfqError } from '../errors.js'
import { externalDataPaths, resolveExternalData } from '../onnx/externalData.js'
import { decodeModel, encodeModel, graphOf } from '../onnx/model.js'
import { ELEM_TYPES, typeName } from '../onnx/tensor.js'

export interface ModelFile {
  readonly path: string
  readonly bytes: Uint8Array
  readonly model: ModelProto
  readonly inputs: readonly RunnerInput[]
  /** Reads external data from the model's own folder. */
  readonly readExternalData: (path: string) => Promise<Uint8Array>
  /** Bytes that ONNX Runtime can load without a file system. */
  runnable(): Promise<Uint8Array>
}

/** @throws {GpfqError} FILE_ACCESS, INVALID_MODEL, UNSUPPORTED_MODEL; messages begin with the path */
export async function openModel(path: string): Promise<ModelFile> {
  const bytes = await readBytes(path)
  const readExternalData = externalDataReader(path)
  let model: ModelProto
  try {
    model = decodeModel(bytes)
  } catch (error) {
    if (error instanceof GpfqError)
      throw new GpfqError(error.code, `${path}: ${error.message}`, { cause: error })
    throw error
  }
  return {
    path,
    bytes,
    model,
    inputs: inputsOf(model),
    readExternalData,
    async runnable() {
      if (externalDataPaths(model).length === 0) return bytes
      return encodeModel(await resolveExternalData(model, readExternalData))
    },
  }
}

/** What a caller has to feed: graph inputs that are not initializers with a default. */
function inputsOf(model: ModelProto): readonly RunnerInput[] {
  const graph = graphOf(model)
  const initialized = new Set(graph.initializer.map(({ name }) => name))
  return graph.input
    .filter(({ name }) => !initialized.has(name))
    .map(({ name, type }): RunnerInput => {
      if (type?.value.case !== 'tensorType') return { name, type: 'not a tensor', dims: [] }
      const { elemType, shape } = type.value.value
      const dims = (shape?.dim ?? []).map(({ value }) => {
        if (value.case === 'dimValue') return Number(value.value)
        return value.case === 'dimParam' ? value.value : null
      })
      return { name, type: tensorTypeOf(elemType) ?? typeName(elemType), dims }
    })
}

function tensorTypeOf(elemType: number): TensorType | undefined {
  const types = Object.keys(ELEM_TYPES) as TensorType[]
  return types.find((type) => ELEM_TYPES[type] === elemType)
}
