/**
 * Frame quantization (2404.08131, Czaja and Na): weights are represented by the codes of their coefficients on a redundant
 * set of vectors, chosen by first-order sigma-delta, without samples. Twin: reference/frame.ts; mathematics:
 * assembly/frame.ts.
 *
 * Each run of d ≤ 16 weights of a neuron has F = r·d coefficients on a harmonic frame, so a weight costs r·log₂M bits, and
 * its error falls as 1/r. Cost: 3·F·N multiply-adds a neuron. When: for comparison, and because its error bound needs no
 * data. With as many bits, rounding has the smaller error (docs/METHODS.md). The results are real numbers and not codes of
 * weights, so the file is not smaller.
 */

import { PANEL, panelsOf } from '../wasm/kernels.js'
import { frame } from '../wasm/methodKernels.js'
import type { WeightShape } from './alphabet.js'
import { Columns, fromPanels } from './columns.js'
import type { Engine } from './engine.js'
import { allocate, type Layout, layOut } from './layout.js'
import type { Recipe } from './recipe.js'
import { type SolveRequest, widestOf } from './solution.js'
import type { Solver } from './solve.js'
import { columnNeeds } from './solvePlan.js'

/** d, the weights that share coefficients: at most 16, and even, because a harmonic frame consists of pairs cos, sin. */
export const dimensionOf = (inputs: number): number => Math.min(16, 2 * Math.ceil(inputs / 2))

/** Coefficients of one neuron: F for each run of d weights, the last run padded. */
export const coefficientsOf = (inputs: number, redundancy: number): number =>
  Math.ceil(inputs / dimensionOf(inputs)) * dimensionOf(inputs) * redundancy

/** The memory of a frame and of the widest layer. */
export function planFrame(widest: WeightShape, redundancy: number, threads: number): Layout {
  const { groups, inputs, neurons } = widest
  const dimension = dimensionOf(inputs)
  const count = dimension * redundancy
  const lanes = groups * panelsOf(neurons) * PANEL
  return layOut({
    ...columnNeeds(widest, 1),
    frame: 4 * count * dimension, // (count, dimension) float32
    coefficients: lanes * coefficientsOf(inputs, redundancy), // [group][neuron panel][coefficient][8] bytes
    'reconstructed weights': 4 * lanes * panelsOf(inputs) * PANEL, // [group][neuron panel][8·panels][8] float32
    'frame scratch': threads * count * 32, // [worker][count][8] float32
  })
}

/**
 * A solver for all requests, which have the same inputs and groups. Its codes are (groups, coefficients, neurons).
 * @throws GpfqError OUT_OF_MEMORY
 */
export function solveFrame(engine: Engine, requests: readonly SolveRequest[], recipe: Recipe): Solver {
  const { arena, pool } = engine
  const widest = widestOf(requests)
  const { groups, inputs } = widest
  const redundancy = recipe.redundancy!
  const dimension = dimensionOf(inputs)
  const count = dimension * redundancy // coefficients of one run of weights
  const coefficients = coefficientsOf(inputs, redundancy)
  const held = panelsOf(inputs) * PANEL
  const regions = allocate(arena, planFrame(widest, redundancy, pool.threads))
  const columns = new Columns(arena, regions, inputs)
  arena.floats(regions.at('frame'), count * dimension).set(harmonicFrame(count, dimension))
  return {
    async solve(request, options) {
      const { shape } = request
      const [codesAt, valuesAt] = [regions.at('coefficients'), regions.at('reconstructed weights')]
      const task = frame({
        ...columns.of(request),
        basis: regions.at('frame'),
        ...{ codes: codesAt, values: valuesAt, dimension, count },
        scratch: regions.at('frame scratch'),
      })
      await pool.run([columns.load(request), [task]], options)
      const own = groups * panelsOf(shape.neurons) * PANEL
      const codes = new Uint8Array(groups * coefficients * shape.neurons)
      const values = new Float32Array(groups * inputs * shape.neurons)
      return {
        codes: fromPanels(arena.bytes(codesAt, own * coefficients), coefficients, coefficients, shape, codes),
        scales: columns.readScales(shape, 1),
        values: fromPanels(arena.floats(valuesAt, own * held), held, inputs, shape, values),
      }
    },
  }
}

/**
 * The harmonic frame: e_k = √(2/d) (cos 2πk/F, sin 2πk/F, cos 4πk/F, sin 4πk/F, …), (count, dimension) float32. A
 * series computes the cosines, because the last bit of Math.cos differs between engines.
 */
export function harmonicFrame(count: number, dimension: number): Float32Array {
  const basis = new Float32Array(count * dimension)
  const norm = Math.sqrt(2 / dimension)
  for (let k = 0; k < count; k++) {
    for (let j = 0; j < dimension; j += 2) {
      const turn = (k * (j / 2 + 1)) % count
      basis[k * dimension + j] = norm * cosine(turn, count)
      basis[k * dimension + j + 1] = norm * cosine((4 * turn + 3 * count) % (4 * count), 4 * count)
    }
  }
  return basis
}

/** cos(2π·part/whole) for whole numbers 0 ≤ part < whole, by Taylor's series on half a turn. */
function cosine(part: number, whole: number): number {
  const x = (2 * Math.PI * Math.min(part, whole - part)) / whole
  let sum = 0
  let term = 1
  for (let n = 0; n < 32; n += 2) {
    sum += term
    term *= (-x * x) / ((n + 1) * (n + 2))
  }
  return sum
}
