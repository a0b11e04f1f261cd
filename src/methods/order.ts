/**
 * Permutes the rows of weights, scales and codes to another order of the inputs. If blocks of inputs have scales of their
 * own and the order separates the inputs of a block, each input gets its own copy of the scale.
 */
import type { Scales, WeightShape } from './alphabet.js'
import type { SolveRequest } from './solution.js'

/**
 * The request with its inputs in the order of the matrices.
 * @param order [group][inputs]: the input at each place
 * @param together whether the order keeps the inputs of a block together
 */
export function toOrder(request: SolveRequest, order: Uint32Array, together: boolean): SolveRequest {
  const { weights, shape, scales } = request
  return {
    ...request,
    weights: permuteRows(weights, shape, order, false),
    scales: together ? scales : inputScales(scales, shape, order),
  }
}

/**
 * Permutes rows (groups, inputs, neurons) into the order, or with `back` from the order to that of the layer.
 */
export function permuteRows<T extends Float32Array | Uint8Array>(
  values: T,
  { groups, inputs, neurons }: WeightShape,
  order: Uint32Array,
  back: boolean,
): T {
  const out = values.slice() as T
  for (let row = 0; row < groups * inputs; row++) {
    const own = row - (row % inputs) + order[row]!
    const from = (back ? row : own) * neurons
    out.set(values.subarray(from, from + neurons), (back ? own : row) * neurons)
  }
  return out
}

/** Scales (groups, blocks, neurons) repeated for each input, in the order. */
function inputScales(scales: Scales, { groups, inputs, neurons }: WeightShape, order: Uint32Array): Scales {
  const { values, blocks, blockSize } = scales
  if (blocks === 1) return scales
  const out = new Float32Array(groups * inputs * neurons)
  for (let row = 0; row < groups * inputs; row++) {
    const group = Math.floor(row / inputs)
    const from = (group * blocks + Math.floor(order[row]! / blockSize)) * neurons
    out.set(values.subarray(from, from + neurons), row * neurons)
  }
  return { values: out, blocks: inputs, blockSize: 1 }
}
