/**
 * Changes models in their structure: names that collide or that JavaScript objects have, inputs that are missing or of other
 * nodes, attributes of other types and absurd values, dims and element types that contradict the values, nodes in bodies.
 */
import { create } from '@bufbuild/protobuf'
import {
  type AttributeProto,
  AttributeProtoSchema,
  type GraphProto,
  type ModelProto,
  type NodeProto,
  type TensorProto,
} from 'onnx-buf'
import * as b from '../onnx/build.js'
import type { Random } from './random.js'

const NAMES = [
  ...['', '__proto__', 'constructor', 'toString', 'hasOwnProperty', 'valueOf', 'x', 'y', 'w', 'h', '\0'],
  ...[
    'x:rounded',
    'w:codes',
    'w:quantized',
    'q:0',
    'gpfq:0',
    'y:bias',
    'y:bare',
    'w:folded',
    '\u202e',
    'é'.repeat(30),
  ],
] as const

const OPERATORS = [
  ...['Conv', 'Gemm', 'MatMul', 'BatchNormalization', 'Identity', 'Transpose', 'Reshape', 'Cast', 'Constant'],
  ...[
    'If',
    'Loop',
    'Scan',
    'Add',
    'Relu',
    'Clip',
    'Pad',
    'Resize',
    'Split',
    'Dropout',
    'Gather',
    'Einsum',
    'Concat',
  ],
  ...['constructor', '__proto__', 'MatMulNBits', 'QLinearConv', 'RandomNormal', 'Own', ''],
] as const

const INTEGERS = [
  0n,
  1n,
  2n,
  3n,
  8n,
  -1n,
  -8n,
  65536n,
  2n ** 31n,
  2n ** 53n,
  2n ** 63n - 1n,
  -(2n ** 63n),
] as const
const FLOATS = [0, -1, 1e-40, 1e38, Number.NaN, Number.POSITIVE_INFINITY, -0] as const
const ATTRIBUTES = [
  ...[
    'group',
    'strides',
    'dilations',
    'pads',
    'kernel_shape',
    'auto_pad',
    'perm',
    'to',
    'alpha',
    'beta',
    'transA',
  ],
  ...[
    'transB',
    'epsilon',
    'training_mode',
    'axis',
    'value',
    'value_floats',
    'mode',
    'body',
    'allowzero',
    'ceil_mode',
  ],
] as const

/** Changes the model in place. */
export function mutateModel(model: ModelProto, random: Random): void {
  const changes = random.chance(0.5) ? 1 : 1 + random.below(4)
  for (let i = 0; i < changes; i++) mutateOnce(model, random)
}

function mutateOnce(model: ModelProto, random: Random): void {
  const graph = random.chance(0.85) ? model.graph! : random.pick(allGraphs(model.graph!))
  switch (random.below(12)) {
    case 0:
      model.irVersion = random.pick(INTEGERS)
      break
    case 1: {
      const opset = random.pick(model.opsetImport)
      opset.version = random.pick([7n, 9n, 11n, 13n, 21n, 23n, 25n, 26n, 0n, 2n ** 62n])
      if (random.chance(0.2)) opset.domain = random.pick(['', 'ai.onnx', 'com.microsoft'])
      break
    }
    case 2:
      mutateEnds(graph, random)
      break
    case 3:
    case 4:
    case 5:
      if (graph.initializer.length > 0) mutateTensor(random.pick(graph.initializer), random)
      break
    case 6:
      mutateNodes(graph, random)
      break
    case 7:
      renameEverywhere(model.graph!, random)
      break
    default:
      if (graph.node.length > 0) mutateNode(random.pick(graph.node), graph, random)
  }
}

function allGraphs(root: GraphProto): readonly GraphProto[] {
  const bodies = root.node.flatMap(({ attribute }) =>
    attribute.flatMap(({ g }) => (g === undefined ? [] : allGraphs(g))),
  )
  return [root, ...bodies]
}

function tensorsOf(graph: GraphProto): readonly string[] {
  return [
    ...graph.node.flatMap(({ input, output }) => [...input, ...output]),
    ...graph.initializer.map(({ name }) => name),
    ...graph.input.map(({ name }) => name),
  ]
}

const anyName = (graph: GraphProto, random: Random): string =>
  random.chance(0.6) && graph.node.length > 0 ? random.pick([...tensorsOf(graph), '']) : random.pick(NAMES)

/** One tensor under another name, wherever the graph itself has it. */
function renameEverywhere(graph: GraphProto, random: Random): void {
  const from = random.pick([...tensorsOf(graph), 'x'])
  const to = random.pick(NAMES)
  const renamed = (name: string) => (name === from ? to : name)
  for (const inner of graph.node) {
    inner.input = inner.input.map(renamed)
    inner.output = inner.output.map(renamed)
  }
  for (const entry of [...graph.initializer, ...graph.input, ...graph.output])
    entry.name = renamed(entry.name)
}

function mutateEnds(graph: GraphProto, random: Random): void {
  const list = random.chance(0.5) ? graph.input : graph.output
  switch (random.below(4)) {
    case 0:
      list.push(b.value(anyName(graph, random), random.below(30), [random.pick([1, 0, -1, 8, 'n'])]))
      break
    case 1:
      list.splice(random.below(list.length + 1), 1)
      break
    case 2: {
      const entry = list[random.below(list.length + 1)]
      if (entry !== undefined) delete entry.type
      break
    }
    default: {
      const entry = list[random.below(list.length + 1)]
      if (entry !== undefined) entry.name = anyName(graph, random)
    }
  }
}

function mutateTensor(tensor: TensorProto, random: Random): void {
  switch (random.below(6)) {
    case 0:
      tensor.dims[random.below(tensor.dims.length + 1)] = random.pick(INTEGERS)
      break
    case 1:
      tensor.dims = tensor.dims.slice(random.below(2)).concat(random.chance(0.5) ? [1n] : [])
      break
    case 2:
      tensor.dataType = random.below(30)
      break
    case 3:
      tensor.rawData = tensor.rawData.slice(0, random.below(tensor.rawData.length + 1))
      break
    case 4: {
      const values = new Float32Array(tensor.rawData.slice().buffer.slice(0, tensor.rawData.length & ~3))
      if (values.length > 0) values[random.below(values.length)] = random.pick(FLOATS)
      tensor.rawData = new Uint8Array(values.buffer)
      break
    }
    default:
      tensor.name = random.pick(NAMES)
  }
}

function mutateNodes(graph: GraphProto, random: Random): void {
  const at = random.below(graph.node.length + 1)
  switch (random.below(5)) {
    case 0:
      graph.node.splice(at, 1)
      break
    case 1:
      graph.node.reverse()
      break
    case 2: {
      const copied = graph.node[at]
      if (copied !== undefined)
        graph.node.push({ ...copied, output: copied.output.map((name) => `${name}${random.below(3)}`) })
      break
    }
    case 3: {
      const from = anyName(graph, random)
      const to = `made${random.below(5)}`
      graph.node.splice(at, 0, b.node(random.pick(OPERATORS), [from, anyName(graph, random)], [to]))
      break
    }
    default: {
      const moved = graph.node.splice(at, 1)
      const body = b.graph(
        moved,
        [],
        [],
        moved.flatMap(({ output }) => output),
      )
      graph.node.push(b.node('If', [anyName(graph, random)], ['if'], { then_branch: body }))
    }
  }
}

function mutateNode(node: NodeProto, graph: GraphProto, random: Random): void {
  switch (random.below(8)) {
    case 0:
      node.input[random.below(node.input.length + 1)] = anyName(graph, random)
      node.input = Array.from(node.input, (name) => name ?? '')
      break
    case 1:
      node.input = node.input.slice(0, random.below(node.input.length + 1))
      break
    case 2:
      node.output[random.below(node.output.length + 1)] = anyName(graph, random)
      node.output = Array.from(node.output, (name) => name ?? '')
      break
    case 3:
      node.opType = random.pick(OPERATORS)
      break
    case 4:
      node.name = random.pick(NAMES)
      node.domain = random.pick(['', '', 'ai.onnx', 'com.microsoft', 'own', '__proto__'])
      break
    default:
      mutateAttributes(node, random)
  }
}

function mutateAttributes(node: NodeProto, random: Random): void {
  const attribute = random.chance(0.5) ? node.attribute[random.below(node.attribute.length + 1)] : undefined
  if (attribute === undefined) {
    node.attribute.push(randomAttribute(random.pick(random.chance(0.9) ? ATTRIBUTES : NAMES), random))
    return
  }
  if (random.chance(0.2)) attribute.type = random.below(15)
  else if (attribute.ints.length > 0 && random.chance(0.8))
    attribute.ints[random.below(attribute.ints.length + 1)] = random.pick(INTEGERS)
  else Object.assign(attribute, randomAttribute(attribute.name, random))
}

function randomAttribute(name: string, random: Random): AttributeProto {
  switch (random.below(6)) {
    case 0:
      return b.attribute(name, Number(random.pick(INTEGERS.slice(0, 9))))
    case 1:
      return b.attribute(name, { float: random.pick(FLOATS) })
    case 2:
      return b.attribute(name, random.pick(NAMES))
    case 3:
      return b.attribute(
        name,
        Array.from({ length: random.below(6) }, () => Number(random.pick(INTEGERS.slice(0, 9)))),
      )
    case 4:
      return create(AttributeProtoSchema, { name, type: random.below(15), i: random.pick(INTEGERS) })
    default:
      return b.attribute(name, b.floats('', [2, 2], [1, 2, 3, Number.NaN]))
  }
}
