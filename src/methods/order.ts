/**
 * Rows of weights, scales and codes in another order of the inputs. Where blocks of inputs have scales of their own and the
 * order does not keep them together, each input gets its scale by itself.
 */
import type { Scales, WeightShape } from './alphabet.js'
import type { SolveRequest } from './solution.js'

/**
 * The request as the matrices see it.
 * @param order [group][inputs], place → input
 * @param together blocks of inputs stay where they are
 */
export function toOrder(request: SolveRequest, order: Uint32Array, together: boolean): SolveRequest {
  const { weights, shape, scales } = request
  return {
    ...request,
    weights: gatherRows(weights, shape, order),
    scales: together ? scales : inputScales(scales, shape, order),
  }
}

function gatherRows(
  values: Float32Array,
  { groups, inputs, neurons }: WeightShape,
  order: Uint32Array,
): Float32Array {
  const out = new Float32Array(values.length)
  for (let row = 0; row < groups * inputs; row++) {
    const from = (row - (row % inputs) + order[row]!) * neurons
    out.set(values.subarray(from, from + neurons), row * neurons)
  }
  return out
}

/** Codes back in the inputs' own order. */
export function scatterRows(
  codes: Uint8Array,
  { groups, inputs, neurons }: WeightShape,
  order: Uint32Array,
): Uint8Array {
  const out = new Uint8Array(codes.length)
  for (let row = 0; row < groups * inputs; row++) {
    const to = (row - (row % inputs) + order[row]!) * neurons
    out.set(codes.subarray(row * neurons, (row + 1) * neurons), to)
  }
  return out
}

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
