/**
 * Some of a layer's neurons, evenly spaced. Neurons do not depend on each other, so what makes these good makes the others
 * good: λ is chosen on them, at a part of the work.
 */
import type { LayerSolution, SolveRequest } from '../methods/solution.js'

/** So many neurons of a group say which λ is best. */
export const ENOUGH_NEURONS = 64

/** The distance of the neurons that are taken; 1 for layers of which all are. */
export const strideOf = (neurons: number): number => Math.max(1, Math.floor(neurons / ENOUGH_NEURONS))

/** The request of every `stride`-th neuron of each group. */
export function someNeurons(request: SolveRequest, stride: number): SolveRequest {
  const { shape, scales } = request
  const { neurons } = shape
  return {
    ...request,
    weights: columns(request.weights, neurons, stride),
    shape: { ...shape, neurons: Math.ceil(neurons / stride) },
    scales: { ...scales, values: columns(scales.values, neurons, stride) },
  }
}

/** Their part of a solution of the whole layer. */
export function someSolved(solution: LayerSolution, stride: number): LayerSolution {
  const { neurons, codes, scales, values } = solution
  return {
    ...solution,
    neurons: Math.ceil(neurons / stride),
    codes: columns(codes, neurons, stride),
    scales: columns(scales, neurons, stride),
    ...(values && { values: columns(values, neurons, stride) }),
  }
}

/** Every `stride`-th column of (rows, neurons). */
function columns<T extends Float32Array | Uint8Array>(from: T, neurons: number, stride: number): T
function columns(from: Float32Array | Uint8Array, neurons: number, stride: number) {
  const rows = from.length / neurons
  const to = from.slice(0, rows * Math.ceil(neurons / stride))
  let at = 0
  for (let row = 0; row < rows; row++)
    for (let k = 0; k < neurons; k += stride) to[at++] = from[row * neurons + k]!
  return to
}
