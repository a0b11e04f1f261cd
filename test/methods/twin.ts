/**
 * Compares a layer quantized by the engine with its float64 twin. The twin gets the scales of the engine's result and
 * chooses the codes of one neuron after another. If a value of the twin is within 10⁻⁴ steps of a rounding boundary, the
 * engine, in float32, can choose the other code. Such neurons are counted, and all others must be equal.
 */
import fc from 'fast-check'
import { afterAll, expect } from 'vitest'
import { nearestEven } from '#src/methods/alphabet.js'
import type { MethodOptions, Radius } from '#src/options.js'
import {
  createQuantizer,
  type LayerOptions,
  type LayerProblem,
  type LayerResult,
  type Quantizer,
} from '#src/quantizer.js'
import { keepZero } from '#src/reference/gpfq.js'
import { gramMatrix } from '#src/reference/gram.js'
import type { NeuronOnSamples } from '#src/reference/spfq.js'
import { activations, disturbed, pruned, reals } from '../random.js'

/** A quantizer for each number of threads, closed when the tests of the file are done. */
export async function openQuantizers(...threads: readonly number[]): Promise<Quantizer[]> {
  const quantizers = await Promise.all(threads.map((count) => createQuantizer({ threads: count })))
  afterAll(() => Promise.all(quantizers.map((quantizer) => quantizer.close())))
  return quantizers
}

export interface LayerCase {
  readonly rows: number
  readonly inputs: number
  readonly neurons: number
  readonly same: boolean
  readonly seed: number
  /** Share of weights that are exactly zero; default 0. */
  readonly zeros?: number
}

/** Random layers that are small enough for the float64 twins; half of them have weights that are zero. */
export const layerCases: fc.Arbitrary<LayerCase> = fc
  .record({
    rows: fc.integer({ min: 2, max: 200 }),
    inputs: fc.integer({ min: 6, max: 90 }),
    neurons: fc.integer({ min: 1, max: 20 }),
    same: fc.boolean(),
    seed: fc.nat(),
  })
  .map((c) => ({ ...c, zeros: [0, 0, 0.4, 0.97][c.seed % 4]! }))

/** A dense layer, or a group of a convolution, for the twins. */
export interface TwinLayer extends LayerProblem {
  readonly rows: number
  /** XqᵀXq and XqᵀX (inputs, inputs) in float64. */
  readonly h: Float64Array
  readonly g: Float64Array
}

/** The engine's result for it. */
export type Chosen = Pick<LayerResult, 'codes' | 'scales' | 'zero' | 'blockSize'>

/** Adds the matrices of its samples to a layer. */
export function withMatrices(problem: LayerProblem, rows: number): TwinLayer {
  const { samples, quantizedSamples = samples, inputs } = problem
  return {
    ...problem,
    rows,
    h: gramMatrix(quantizedSamples, quantizedSamples, rows, inputs),
    g: gramMatrix(quantizedSamples, samples, rows, inputs),
  }
}

/** A layer with correlated activations (each depends on the one before) and some dead inputs; noise is added for Xq. */
export function layerOf({ rows, inputs, neurons, same, seed, zeros = 0 }: LayerCase): TwinLayer {
  const x = activations(rows * inputs, seed)
  for (let i = 0; i < x.length; i++) {
    if (i % inputs > 0) x[i] = 0.7 * x[i - 1]! + 0.5 * x[i]!
    if (i % inputs === 5) x[i] = 0
  }
  const weights = pruned(reals(inputs * neurons, seed + 2), zeros, seed + 3)
  const problem = { inputs, neurons, weights, samples: x }
  return withMatrices(same ? problem : { ...problem, quantizedSamples: disturbed(x, 0.1, seed + 1) }, rows)
}

/** One neuron for its twin, with the inputs in the order of the path. */
export interface Neuron extends NeuronOnSamples {
  readonly h: Float64Array
  readonly g: Float64Array
  readonly w: Float64Array
  readonly number: number
  /** The value of the alphabet that the method chooses for v, for the input at place t; 0 for a weight that stays zero. */
  readonly choose: (t: number, v: number) => number
  /** The nearest value of the alphabet; 0 for a weight that stays zero. */
  readonly nearest: (t: number, v: number) => number
  /** Reports the margin of another decision of the twin. */
  readonly doubt: (margin: number) => void
}

/** Values q of a neuron. */
export type Twin = (neuron: Neuron) => ArrayLike<number>

/** Order of inputs: their own, or descending in H_tt (float32, equals in their own order). */
export function orderOf({ h, inputs }: TwinLayer, descending: boolean): number[] {
  const order = Array.from({ length: inputs }, (_, t) => t)
  const norm = (t: number): number => Math.fround(h[t * inputs + t]!)
  return descending ? order.sort((a, b) => norm(b) - norm(a) || a - b) : order
}

/** Whether a method takes inputs in descending order of H_tt. */
export function descends({ actOrder, preset, method, radius }: MethodOptions & { radius?: Radius }): boolean {
  if (actOrder !== undefined) return actOrder
  switch (method ?? (preset === 'best' ? 'qronos' : 'gpfq')) {
    case 'gptq':
    case 'qronos':
      return true
    case 'gpfq':
      return (radius?.rule ?? 'search') === 'search'
    default:
      return false
  }
}

export function reorder(matrix: Float64Array, order: readonly number[]): Float64Array {
  const n = order.length
  return Float64Array.from(
    { length: n * n },
    (_, at) => matrix[order[Math.floor(at / n)]! * n + order[at % n]!]!,
  )
}

/** In steps of an alphabet of up to 16 levels; with more the same error of a value is more steps. */
const NEAR = 1e-4

/** Code and distance from where another would be chosen, of a value in steps. */
export type Decide = (
  steps: number,
  t: number,
  neuron: number,
) => { readonly code: number; readonly margin: number }

const nearest: Decide = (steps) => {
  const code = nearestEven(steps)
  return { code, margin: 0.5 - Math.abs(steps - code) }
}

/** Compares codes with the twin's values. @returns the number of neurons that differ after a near-tie */
export function countNearTies(
  layer: TwinLayer,
  { codes, scales, zero, blockSize }: Chosen,
  levels: number,
  order: readonly number[],
  twin: Twin,
  decide: Decide = nearest,
): number {
  const { inputs, neurons, weights, rows, samples, quantizedSamples = samples } = layer
  const h = reorder(layer.h, order)
  const g = reorder(layer.g, order)
  const sorted = (x: Float32Array): Float32Array => x.map((_, i) => x[i - (i % inputs) + order[i % inputs]!]!)
  const x = sorted(samples)
  const xq = samples === quantizedSamples ? x : sorted(quantizedSamples)
  const near = NEAR * Math.max(1, levels / 16)
  let ties = 0
  for (let k = 0; k < neurons; k++) {
    let least = Number.POSITIVE_INFINITY
    const scaleAt = (t: number): number => scales[Math.floor(order[t]! / blockSize) * neurons + k]!
    const by =
      (rule: Decide) =>
      (t: number, v: number): number => {
        const kept = keepZero(weights[order[t]! * neurons + k]!, zero, v)
        const decided = rule(kept / scaleAt(t) + zero, t, k)
        const code = Math.min(levels - 1, Math.max(0, decided.code))
        if (decided.code === code) least = Math.min(least, decided.margin)
        return scaleAt(t) * (code - zero)
      }
    const q = twin({
      ...{ h, g, rows, samples: x, quantizedSamples: xq, number: k },
      w: Float64Array.from(order, (t) => weights[t * neurons + k]!),
      choose: by(decide),
      nearest: by(nearest),
      doubt: (margin) => {
        least = Math.min(least, margin)
      },
    })
    const expected = order.map((_, t) => Math.round(q[t]! / scaleAt(t) + zero))
    const actual = order.map((t) => codes[t * neurons + k]!)
    const equal = actual.every((code, t) => code === expected[t])
    if (!equal && least < near) ties++
    else expect(actual, `neuron ${k}, least margin ${least}`).toEqual(expected)
  }
  return ties
}

/** Quantizes a layer on several quantizers and expects equal bytes. */
export async function quantizeEverywhere(
  quantizers: readonly Quantizer[],
  problem: LayerProblem,
  options: LayerOptions,
): Promise<LayerResult> {
  const results: LayerResult[] = []
  for (const quantizer of quantizers) results.push(await quantizer.quantizeLayer(problem, options))
  const [first] = results
  if (first === undefined) throw new Error('expected at least one quantizer')
  for (const { codes, scales, relativeError } of results) {
    expect({ codes, scales, relativeError }).toEqual({
      codes: first.codes,
      scales: first.scales,
      relativeError: first.relativeError,
    })
  }
  return first
}

/** A method with act-order against its twin: any layer, order, scope of scales and rule; few neurons meet a near tie. */
export async function expectTwin(
  method: 'gptq' | 'qronos',
  quantizers: readonly Quantizer[],
  twin: Twin,
  seed: number,
): Promise<void> {
  let neurons = 0
  let ties = 0
  await fc.assert(
    fc.asyncProperty(
      layerCases,
      fc.constantFrom(3, 7, 15),
      fc.boolean(),
      fc.constantFrom('neuron' as const, { group: 8 }),
      fc.constantFrom({ rule: 'max' as const }, { rule: 'search' as const }),
      async (given, levels, actOrder, scalePer, radius) => {
        const layer = layerOf(given)
        const result = await quantizeEverywhere(quantizers, layer, {
          method,
          levels,
          actOrder,
          scalePer,
          radius,
        })
        expect(result.notes).toEqual([])
        ties += countNearTies(layer, result, levels, orderOf(layer, actOrder), twin)
        neurons += given.neurons
      },
    ),
    { seed, numRuns: 40 },
  )
  expect(ties).toBeLessThan(0.02 * neurons)
}
