/** Small ONNX models for tests, and ONNX Runtime Web to run them, as the reference that is independent of src/onnx. */
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { create } from '@bufbuild/protobuf'
import {
  type AttributeProto,
  AttributeProtoSchema,
  AttributeProto_AttributeType as AttributeType,
  TensorProto_DataType as DataType,
  type GraphProto,
  GraphProtoSchema,
  type ModelProto,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
  type TensorProto,
  TensorProtoSchema,
  TensorShapeProtoSchema,
  TypeProto_SequenceSchema,
  TypeProto_TensorSchema,
  TypeProtoSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from 'onnx-buf'
import * as ort from 'onnxruntime-web'

ort.env.wasm.numThreads = 1
ort.env.logLevel = 'error'

export { DataType }

type AttributeValue = number | string | number[] | TensorProto | GraphProto | { float: number }

export function attribute(name: string, value: AttributeValue): AttributeProto {
  if (typeof value === 'number')
    return create(AttributeProtoSchema, { name, type: AttributeType.INT, i: BigInt(value) })
  if (typeof value === 'string')
    return create(AttributeProtoSchema, {
      name,
      type: AttributeType.STRING,
      s: new TextEncoder().encode(value),
    })
  if (Array.isArray(value))
    return create(AttributeProtoSchema, { name, type: AttributeType.INTS, ints: value.map(BigInt) })
  if ('float' in value)
    return create(AttributeProtoSchema, { name, type: AttributeType.FLOAT, f: value.float })
  if (value.$typeName === 'onnx.TensorProto')
    return create(AttributeProtoSchema, { name, type: AttributeType.TENSOR, t: value })
  return create(AttributeProtoSchema, { name, type: AttributeType.GRAPH, g: value })
}

export function node(
  opType: string,
  input: string[],
  output: string[],
  attributes: Record<string, AttributeValue> = {},
  name = `${output[0]}_node`,
): NodeProto {
  return create(NodeProtoSchema, {
    opType,
    input,
    output,
    name,
    attribute: Object.entries(attributes).map(([key, value]) => attribute(key, value)),
  })
}

export function floats(name: string, dims: number[], values: ArrayLike<number>): TensorProto {
  const data = Float32Array.from(values)
  if (data.length !== dims.reduce((a, b) => a * b, 1))
    throw new Error(`${name}: ${data.length} values for ${dims}`)
  return create(TensorProtoSchema, {
    name,
    dims: dims.map(BigInt),
    dataType: DataType.FLOAT,
    rawData: new Uint8Array(data.buffer),
  })
}

export function ints(name: string, dims: number[], values: number[]): TensorProto {
  return create(TensorProtoSchema, {
    name,
    dims: dims.map(BigInt),
    dataType: DataType.INT64,
    rawData: new Uint8Array(BigInt64Array.from(values, BigInt).buffer),
  })
}

export function value(
  name: string,
  elemType: number = DataType.FLOAT,
  dims?: (number | string)[],
): ValueInfoProto {
  const shape =
    dims === undefined
      ? {}
      : {
          shape: create(TensorShapeProtoSchema, {
            dim: dims.map((dim) => ({
              value:
                typeof dim === 'number'
                  ? { case: 'dimValue' as const, value: BigInt(dim) }
                  : { case: 'dimParam' as const, value: dim },
            })),
          }),
        }
  return create(ValueInfoProtoSchema, {
    name,
    type: create(TypeProtoSchema, {
      value: { case: 'tensorType', value: create(TypeProto_TensorSchema, { elemType, ...shape }) },
    }),
  })
}

/** A sequence of float tensors. */
export function sequence(name: string): ValueInfoProto {
  const type = create(TypeProtoSchema, {
    value: { case: 'sequenceType', value: create(TypeProto_SequenceSchema, { elemType: value('').type! }) },
  })
  return create(ValueInfoProtoSchema, { name, type })
}

export function graph(
  nodes: NodeProto[],
  initializer: TensorProto[],
  input: (string | ValueInfoProto)[],
  output: (string | ValueInfoProto)[],
): GraphProto {
  const info = (v: string | ValueInfoProto) => (typeof v === 'string' ? value(v) : v)
  return create(GraphProtoSchema, {
    name: 'g',
    node: nodes,
    initializer,
    input: input.map(info),
    output: output.map(info),
  })
}

export function model(
  nodes: NodeProto[],
  initializer: TensorProto[],
  input: (string | ValueInfoProto)[],
  output: (string | ValueInfoProto)[],
  { opset = 13, irVersion = 8 } = {},
): ModelProto {
  return create(ModelProtoSchema, {
    irVersion: BigInt(irVersion),
    producerName: 'test',
    opsetImport: [create(OperatorSetIdProtoSchema, { domain: '', version: BigInt(opset) })],
    graph: graph(nodes, initializer, input, output),
  })
}

/** An initializer of noise. */
export const noisy = (name: string, dims: number[], seed: number): TensorProto =>
  floats(
    name,
    dims,
    noise(
      dims.reduce((count, dim) => count * dim, 1),
      seed,
    ),
  )

/** Deterministic values in (−1, 1). */
export function noise(count: number, seed = 1): Float32Array {
  let state = seed >>> 0 || 1
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 31 - 1
  })
}

export interface Value {
  readonly type: string
  readonly dims: readonly number[]
  readonly data: ArrayLike<number | bigint>
}

export function tensor(dims: number[], values: ArrayLike<number>): ort.Tensor {
  return new ort.Tensor('float32', Float32Array.from(values), dims)
}

export async function run(
  bytes: Uint8Array,
  feeds: Record<string, ort.Tensor>,
): Promise<Record<string, ort.Tensor>> {
  const session = await ort.InferenceSession.create(bytes, { logSeverityLevel: 3 })
  try {
    return { ...(await session.run(feeds)) }
  } finally {
    await session.release()
  }
}

export { ort }

/** ‖a − b‖∞ over the largest |b|. */
export function relativeDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY
  let worst = 0
  let largest = 1e-30
  for (let i = 0; i < a.length; i++) {
    const d = Math.abs((a[i] as number) - (b[i] as number))
    worst = Math.max(worst, Number.isNaN(d) ? Number.POSITIVE_INFINITY : d)
    largest = Math.max(largest, Math.abs(b[i] as number))
  }
  return worst / largest
}

const assets = fileURLToPath(new URL('../../../shared/assets/models/', import.meta.url))
export const REAL_MODELS = {
  'cifar10-gpfq-cnn': [2, 3, 32, 32],
  'cifar10-resnet20': [2, 3, 32, 32],
  'imagenet-mobilenetv1-0.25-224': [1, 3, 224, 224],
  'mnist-mlp-500-300-bn': [2, 1, 28, 28],
  'tinystories-llama-260k-t256': [1, 256],
} as const
export type RealModel = keyof typeof REAL_MODELS
export const hasAssets = existsSync(assets)
export function realModel(name: RealModel): Uint8Array {
  return new Uint8Array(readFileSync(`${assets}${name}.onnx`))
}
export function realFeeds(name: RealModel): Record<string, ort.Tensor> {
  const dims: number[] = [...REAL_MODELS[name]]
  const count = dims.reduce((a, b) => a * b, 1)
  if (name.startsWith('tinystories'))
    return {
      tokens: new ort.Tensor(
        'int64',
        BigInt64Array.from(noise(count, 7), (v) => BigInt(Math.floor((v + 1) * 250))),
        dims,
      ),
    }
  return { input: tensor(dims, noise(count, 7)) }
}
