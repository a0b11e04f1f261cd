/**
 * Raises the opset of a model without converting its nodes. That is possible only if every operator in the graph means
 * the same in the newer set. An operator is an obstacle if it is not in the table, or if its definition changed between
 * the two sets by more than new types and new optional attributes or inputs. The caller then keeps the older set.
 *
 * The table covers opset 13 to 26, from the version histories in onnx/onnx docs/Changelog.md.
 */
import type { ModelProto, NodeProto } from 'onnx-buf'
import { attributeOf, intAttribute } from './attributes.js'
import { graphOf, isDefaultDomain, opsetOf, shallowCopy, withOpset } from './model.js'
import { subgraphs } from './subgraphs.js'

const OLDEST = 13
/** The newest opset that ONNX Runtime 1.30 loads. */
const NEWEST = 26

/** Operators without any change of meaning from 13 to 26. */
const STEADY = new Set(
  `Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh BitShift Cast CastLike Ceil Celu Clip Compress Concat
  Constant ConstantOfShape Conv ConvInteger ConvTranspose Cos Cosh CumSum DepthToSpace DequantizeLinear Div Dropout
  DynamicQuantizeLinear Einsum Elu Equal Erf Exp Expand EyeLike Flatten Floor GRU Gather GatherElements GatherND Gemm
  GlobalAveragePool GlobalMaxPool Greater GreaterOrEqual HardSigmoid HardSwish Hardmax Identity If InstanceNormalization
  IsInf IsNaN LRN LSTM LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax Loop LpNormalization MatMul
  MatMulInteger Max Mean MeanVarianceNormalization Min Mish Mod Mul Neg NonMaxSuppression NonZero Not OneHot Or PRelu Pad
  Pow QLinearConv QLinearMatMul QuantizeLinear RNN Range Reciprocal ReduceSum Relu Reshape ReverseSequence Round Scan
  ScatterElements ScatterND Selu Shape Sigmoid Sign Sin Sinh Size Slice Softmax Softplus Softsign SpaceToDepth Sqrt
  Squeeze Sub Sum Tan Tanh ThresholdedRelu Tile TopK Transpose Trilu Unique Unsqueeze Where Xor`.split(/\s+/),
)

/** Operators that changed at some opset, and when a node does not use what changed. */
const CHANGED: ReadonlyMap<string, Change> = new Map([
  // 14 made training an attribute and removed the optional outputs of statistics.
  change('BatchNormalization', 14, ({ output }) => output.slice(1).every((name) => name === '')),
  // 18 requires num_outputs if no sizes are given.
  change('Split', 18, ({ input }) => (input[1] ?? '') !== ''),
  // 19 and 22 corrected ceil_mode.
  change('AveragePool', 19, (node) => intAttribute(node, 'ceil_mode', 0) === 0),
  change('MaxPool', 22, (node) => intAttribute(node, 'ceil_mode', 0) === 0),
  // 18 moved the axes of all reductions (ReduceSum did so at 13) from an attribute to an input.
  ...['L1', 'L2', 'LogSum', 'LogSumExp', 'Max', 'Mean', 'Min', 'Prod', 'SumSquare'].map((kind) =>
    change(`Reduce${kind}`, 18, (node) => attributeOf(node, 'axes') === undefined),
  ),
])

interface Change {
  readonly at: number
  readonly unless: (node: NodeProto) => boolean
}

function change(opType: string, at: number, unless: Change['unless']): [string, Change] {
  return [opType, { at, unless }]
}

const obstacles = new WeakMap<ModelProto, Map<number, string | null>>()

/** Why the model cannot be written in opset `to`, as text for people; null if it can. Found once for a model and an opset. */
export function whyNotRaise(model: ModelProto, to: number): string | null {
  const known = obstacles.get(model) ?? new Map<number, string | null>()
  obstacles.set(model, known)
  let why = known.get(to)
  if (why === undefined) {
    why = findObstacle(model, to)
    known.set(to, why)
  }
  return why
}

function findObstacle(model: ModelProto, to: number): string | null {
  const from = opsetOf(model)
  if (from >= to) return null
  if (to > NEWEST) return `opset ${to} is newer than ONNX Runtime reads`
  if (from < OLDEST) return `opset ${from} is too old to raise`
  if (model.irVersion < 4n)
    return `a file of IR version ${model.irVersion} treats its initializers differently`
  if (model.functions.length > 0) return 'the model has functions of its own'
  const obstacle = firstObstacle(graphOf(model).node, from, to)
  return obstacle === null ? null : `${obstacle} means something else there`
}

function firstObstacle(nodes: readonly NodeProto[], from: number, to: number): string | null {
  for (const node of nodes) {
    if (isDefaultDomain(node.domain) && !keepsMeaning(node, from, to))
      return `${node.opType}${node.name === '' ? '' : ` '${node.name}'`}`
    for (const body of subgraphs(node)) {
      const inner = firstObstacle(body.node, from, to)
      if (inner !== null) return inner
    }
  }
  return null
}

function keepsMeaning(node: NodeProto, from: number, to: number): boolean {
  if (STEADY.has(node.opType)) return true
  const change = CHANGED.get(node.opType)
  return change !== undefined && (from >= change.at || to < change.at || change.unless(node))
}

/**
 * The model in opset `to`, with the IR version that it needs.
 * @param to an opset for which `whyNotRaise` returns null
 */
export function raiseOpset(model: ModelProto, to: number): ModelProto {
  if (opsetOf(model) >= to) return model
  const raised = shallowCopy(withOpset(model, '', to))
  const ir = to >= 25 ? 13n : to >= 21 ? 10n : to >= 19 ? 9n : 8n
  if (raised.irVersion < ir) raised.irVersion = ir
  return raised
}
