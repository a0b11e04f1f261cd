/**
 * How LSTM, GRU and RNN nodes read their weights: W [directions, gates·hidden, inputs] and R [directions, gates·hidden, hidden].
 * A direction is a group, and the rows of its gates are neurons. Biases, peepholes and initial states are no weights.
 */
import type { NodeProto } from 'onnx-buf'
import { GpfqError } from '../errors.js'
import { intAttribute, stringAttribute } from './attributes.js'
import { traceChain } from './chain.js'
import type { GraphIndex } from './graph.js'
import type { LayerOp } from './layer.js'
import { isDefaultDomain } from './model.js'
import { sizeOf } from './tensor.js'
import type { WeightView } from './weightView.js'

const GATES: ReadonlyMap<string, number> = new Map([
  ['LSTM', 4],
  ['GRU', 3],
  ['RNN', 1],
])

const OPERANDS = [1, 2] as const
const NAMES = ['X', 'W', 'R'] as const

export function isRecurrent(node: NodeProto): node is NodeProto & { opType: 'LSTM' | 'GRU' | 'RNN' } {
  return isDefaultDomain(node.domain) && GATES.has(node.opType)
}

/** The name of one of several weights of a node: that of its operand. */
export const operandName = (operand: number): string => NAMES[operand] ?? String(operand)

/**
 * The views of W and R of a recurrent node. A string gives the reason why a weight cannot be quantized.
 * @throws {GpfqError} INVALID_MODEL for a node that no runtime can compute
 */
export function viewRecurrent(graph: GraphIndex, index: number): readonly (WeightView | string)[] {
  const node = graph.nodes[index]!
  const place = `node '${graph.names[index]}'`
  const gates = GATES.get(node.opType) ?? 1
  const directions = stringAttribute(node, 'direction', 'forward') === 'bidirectional' ? 2 : 1
  const hidden = intAttribute(node, 'hidden_size', 0)
  return OPERANDS.map((operand) => {
    const tensor = node.input[operand] ?? ''
    if (tensor === '') throw invalid(place, `${NAMES[operand]} of ${node.opType}`, 'none')
    if (!graph.isConstant(tensor)) return `its ${NAMES[operand]} is computed from the inputs`
    const chain = traceChain(graph, tensor)
    if (typeof chain === 'string') return chain.replace(/^its weight/, `its ${NAMES[operand]}`)
    const { dims } = chain
    const [groups = 0, rows = 0, inputs = 0] = dims
    const size = hidden === 0 ? rows / gates : hidden
    const fits =
      dims.length === 3 &&
      groups === directions &&
      rows === gates * size &&
      (operand === 1 || inputs === size) &&
      sizeOf(dims) > 0
    if (!fits) {
      const expected = `${NAMES[operand]} [${directions}, ${gates}·hidden, ${operand === 1 ? 'inputs' : 'hidden'}]`
      throw invalid(place, hidden === 0 ? expected : `${expected} with hidden ${hidden}`, `[${dims}]`)
    }
    return {
      op: node.opType as LayerOp,
      node: index,
      input: node.input[0] ?? '',
      output: node.output.find((name) => name !== '') ?? '',
      sampling: { kind: 'rows' },
      ...{ operand, tensor, chain, groups, inputs, neurons: rows },
      layout: 'neurons-first',
    }
  })
}

function invalid(place: string, expected: string, got: string): GpfqError {
  return new GpfqError('INVALID_MODEL', { place, expected, got })
}
