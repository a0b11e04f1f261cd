/**
 * The operands of the kernels that walk through the inputs: H, G, weights and scales of several groups and candidates,
 * laid out in a machine, and each of their columns in the form of a float64 twin.
 *
 * Samples are small integers, weights and scales dyadic, so that every sum is exact in float32, and no quotient is
 * closer to a rounding boundary than float32 can resolve: sums stay below 2²⁴ sixteenths, boundaries are 1/(8·H_tt)
 * away, H_tt ≤ 540. So codes must be equal without exceptions, unless a choice is random.
 */
import fc from 'fast-check'
import { nearestEven } from '#src/methods/alphabet.js'
import { keepZero } from '#src/reference/gpfq.js'
import { gramMatrix } from '#src/reference/gram.js'
import { project } from '#src/wasm/kernels.js'
import { integers, randomFrom } from '../random.js'
import { columnIndex, columnPanels, gramPanels, type Matrix, panelsOf, scalePanels } from './layout.js'
import type { Machine } from './machine.js'

export interface PathCase {
  readonly rows: number
  readonly inputs: number
  readonly neurons: number
  readonly groups: number
  readonly candidates: number
  readonly blockSize: number // inputs that share a scale
  readonly levels: number
  readonly seed: number
}

export const pathCases: fc.Arbitrary<PathCase> = fc
  .record({
    rows: fc.integer({ min: 1, max: 60 }),
    inputs: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.constantFrom(127, 128, 129, 136, 260)),
    neurons: fc.integer({ min: 1, max: 20 }),
    groups: fc.integer({ min: 1, max: 2 }),
    candidates: fc.integer({ min: 1, max: 3 }),
    blockSize: fc.integer({ min: 1, max: 260 }),
    levels: fc.integer({ min: 2, max: 16 }),
    seed: fc.integer({ min: 0, max: 2 ** 30 }),
  })
  .map((c) => ({ ...c, blockSize: Math.min(c.blockSize, c.inputs) }))

export interface PathProblem {
  readonly h: readonly Matrix[] // (inputs, inputs) a group
  readonly g: readonly Matrix[]
  readonly weights: readonly Matrix[] // (inputs, neurons) eighths
  readonly scaleOf: (group: number, candidate: number, block: number, neuron: number) => number
}

/** About one input in seven is dead, and none, half or most of the weights are zero. */
export function pathProblem({ rows, inputs, neurons, groups, seed }: PathCase): PathProblem {
  const random = randomFrom(seed)
  const zeros = [0, 0.5, 0.97][seed % 3]!
  const dead = Array.from({ length: inputs }, () => random() < 1 / 7)
  const samples = Array.from({ length: groups }, (_, g) => ({
    x: integers(rows * inputs, 3, seed + 2 * g),
    xq: integers(rows * inputs, 3, seed + 2 * g + 1).map((v, i) => (dead[i % inputs] ? 0 : v)),
  }))
  const square = (values: Float64Array): Matrix => ({ rows: inputs, columns: inputs, values })
  return {
    h: samples.map(({ xq }) => square(gramMatrix(xq, xq, rows, inputs))),
    g: samples.map(({ x, xq }) => square(gramMatrix(xq, x, rows, inputs))),
    weights: samples.map((_, g) => ({
      rows: inputs,
      columns: neurons,
      values: integers(inputs * neurons, 8, seed + 99 + g).map((w) => (random() < zeros ? 0 : w / 8)),
    })),
    scaleOf: (g, c, b, k) => 2 ** -(1 + ((g + 2 * c + b + k) % 3)),
  }
}

/** The arguments that these kernels share, and some of their arrays. */
export interface Laid {
  readonly args: Readonly<
    Record<
      | 'h'
      | 'weights'
      | 'r'
      | 's'
      | 'scales'
      | 'zeros'
      | 'inputs'
      | 'panels'
      | 'neuronPanels'
      | 'groups'
      | 'candidates'
      | 'scaleBlocks'
      | 'scaleBlockSize'
      | 'top',
      number
    >
  > & { readonly triangular: boolean }
  /** Columns: (group, candidate, neuron panel). */
  readonly columns: number
}

/** @param upper whether S = triu(G, 1)·W is needed, for which G must be full */
export function layOut(
  machine: Machine,
  { inputs, neurons, groups, candidates, blockSize, levels }: PathCase,
  p: PathProblem,
  triangular = false,
  upper = !triangular,
): Laid {
  const panels = panelsOf(inputs)
  const neuronPanels = panelsOf(neurons)
  const blocks = Math.ceil(inputs / blockSize)
  machine.reset()
  const weights = machine.floats(columnPanels(p.weights, panels))
  const r = machine.floats(weights.values.length).at
  const s = upper ? machine.floats(weights.values.length).at : 0
  const common = { weights: weights.at, r, s, panels, triangular, neuronPanels, groups }
  machine.run(project({ ...common, g: machine.floats(gramPanels(p.g, panels, triangular)).at }))
  const scales = machine.floats(scalePanels({ groups, candidates, blocks, neurons }, p.scaleOf))
  const args = {
    ...common,
    h: machine.lastFloats(gramPanels(p.h, panels, triangular)).at, // kernels read ahead in it, but not beyond its end
    scales: scales.at,
    zeros: machine.floats(new Float32Array(scales.values.length).fill((levels - 1) / 2)).at,
    inputs,
    candidates,
    scaleBlocks: blocks,
    scaleBlockSize: blockSize,
    top: levels - 1,
  }
  return { args, columns: groups * candidates * neuronPanels }
}

/** One neuron of one candidate, with the arguments of a twin. */
export interface Column {
  readonly name: string
  readonly group: number
  readonly candidate: number
  readonly neuron: number
  readonly h: ArrayLike<number>
  readonly g: ArrayLike<number>
  readonly w: Float64Array // (inputs)
  readonly scale: (t: number) => number
  /** Code of the value nearest to v for input t, or of zero for a weight that stays zero. */
  readonly code: (t: number, v: number) => number
  /** Value of a code. */
  readonly value: (t: number, code: number) => number
  /** Index of input t of this column in [group][candidate][neuron panel][8·panels][8]. */
  readonly at: (t: number) => number
  /** Index of this column in [group][candidate][neuron panel][8]. */
  readonly lane: number
}

export function* columnsOf(c: PathCase, p: PathProblem): Iterable<Column> {
  const { inputs, neurons, groups, candidates, blockSize, levels } = c
  const zero = (levels - 1) / 2
  const perGroup = candidates * panelsOf(neurons)
  for (let item = 0; item < groups * candidates * neurons; item++) {
    const neuron = item % neurons
    const candidate = Math.floor(item / neurons) % candidates
    const group = Math.floor(item / (neurons * candidates))
    const scale = (t: number): number => p.scaleOf(group, candidate, Math.floor(t / blockSize), neuron)
    const column = candidate * panelsOf(neurons) * 8 + neuron
    const w = Float64Array.from({ length: inputs }, (_, t) => p.weights[group]!.values[t * neurons + neuron]!)
    yield {
      name: `group ${group} candidate ${candidate} neuron ${neuron}`,
      ...{ group, candidate, neuron, scale, w },
      h: p.h[group]!.values,
      g: p.g[group]!.values,
      code: (t, v) =>
        Math.min(levels - 1, Math.max(0, nearestEven(keepZero(w[t]!, zero, v) / scale(t) + zero))),
      value: (t, code) => scale(t) * (code - zero),
      at: (t) => columnIndex(group, t, column, perGroup, panelsOf(inputs)),
      lane: (group * perGroup + (column >> 3)) * 8 + (column & 7),
    }
  }
}

/** A cut of `items` into tiles of other sizes than a task's own, to compare results byte by byte. */
export const cuts = (items: number): number[] => [...new Set([1, 2, 3, 5, items])]
