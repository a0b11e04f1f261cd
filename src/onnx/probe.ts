/** Small models that are made to learn something of a runtime: what its arithmetic gives, or what a kernel takes. */
import { create } from '@bufbuild/protobuf'
import {
  GraphProtoSchema,
  ModelProtoSchema,
  type NodeProto,
  OperatorSetIdProtoSchema,
  type TensorProto,
  type ValueInfoProto,
} from 'onnx-buf'
import type { TensorType } from '../tensor/tensor.js'
import { encodeModel } from './model.js'
import { ELEM_TYPES } from './tensor.js'
import { valueInfo } from './valueInfo.js'

/** An input or an output: its name, type and shape. */
export interface ProbeValue {
  readonly name: string
  readonly type: TensorType
  readonly dims: readonly number[]
}

/** A graph. What is to run and not to be computed at load has to depend on an input. */
export interface Probe {
  readonly nodes: readonly NodeProto[]
  readonly constants: readonly TensorProto[]
  readonly inputs: readonly ProbeValue[]
  readonly outputs: readonly ProbeValue[]
  /** Of the ONNX operators. */
  readonly opset: number
}

/** IR version 6 goes with opset 11; every ONNX Runtime that we run on knows it. */
const IR_VERSION = 6n

/** The bytes of a model. */
export function encodeProbe({ nodes, constants, inputs, outputs, opset }: Probe): Uint8Array {
  const graph = create(GraphProtoSchema, {
    name: 'probe',
    node: [...nodes],
    initializer: [...constants],
    input: inputs.map(declare),
    output: outputs.map(declare),
  })
  const opsetImport = [create(OperatorSetIdProtoSchema, { version: BigInt(opset) })]
  return encodeModel(create(ModelProtoSchema, { irVersion: IR_VERSION, opsetImport, graph }))
}

const declare = ({ name, type, dims }: ProbeValue): ValueInfoProto => valueInfo(name, ELEM_TYPES[type], dims)
