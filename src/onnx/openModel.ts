/**
 * What a face asks of a model before anything runs: what it takes in, which other files it needs, and bytes that run
 * on their own. Inputs are read from the file itself, so that data is checked before ONNX Runtime starts.
 */
import type { ModelProto } from 'onnx-buf'
import type { RunnerInput, TensorType } from '../tensor/tensor.js'
import { externalDataPaths, type ReadExternalData, resolveExternalData } from './externalData.js'
import { decodeModel, encodeModel, graphOf } from './model.js'
import { ELEM_TYPES, typeName } from './tensor.js'

export interface OpenedModel {
  /** What a caller has to feed: graph inputs that are not initializers with a default. */
  readonly inputs: readonly RunnerInput[]
  /** Relative paths of the external data files that the model names; empty if it holds all of its weights. */
  readonly externalData: readonly string[]
  /** Bytes that ONNX Runtime can load without a file system: the model's own, or with external data packed in. */
  runnable(readExternalData: ReadExternalData): Promise<Uint8Array>
}

/** @throws {GpfqError} INVALID_MODEL, UNSUPPORTED_MODEL */
export function openModel(bytes: Uint8Array): OpenedModel {
  return describeModel(bytes, decodeModel(bytes))
}

/** The same for a model that is decoded already. */
export function describeModel(bytes: Uint8Array, model: ModelProto): OpenedModel {
  const externalData = externalDataPaths(model)
  return {
    inputs: inputsOf(model),
    externalData,
    async runnable(readExternalData) {
      if (externalData.length === 0) return bytes
      return encodeModel(await resolveExternalData(model, readExternalData))
    },
  }
}

/** What a caller has to feed. */
export function inputsOf(model: ModelProto): readonly RunnerInput[] {
  const graph = graphOf(model)
  const initialized = new Set(graph.initializer.map(({ name }) => name))
  return graph.input
    .filter(({ name }) => !initialized.has(name))
    .map(({ name, type }): RunnerInput => {
      if (type?.value.case !== 'tensorType') return { name, type: 'not a tensor', dims: [] }
      const { elemType, shape } = type.value.value
      const dims = shape?.dim.map(({ value }) => {
        // Exporters write −1 or 0 for a size that is not known; ONNX Runtime takes the first as any.
        if (value.case === 'dimValue') return value.value > 0n ? Number(value.value) : null
        return value.case === 'dimParam' ? value.value : null
      })
      return { name, type: tensorTypeOf(elemType) ?? typeName(elemType), dims: dims ?? null }
    })
}

function tensorTypeOf(elemType: number): TensorType | undefined {
  const types = Object.keys(ELEM_TYPES) as TensorType[]
  return types.find((type) => ELEM_TYPES[type] === elemType)
}
