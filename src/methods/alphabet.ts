/**
 * Alphabets: value = s·(code − z) with code in 0..M−1 and z = (M−1)/2. These are M values equally spaced over [−α, α], both
 * ends included; odd M includes zero, even M does not (2010.15979: α·linspace(−1, 1, M)). The scale is s = 2α/(M−1). The
 * rules differ in how they choose the radius α and in the scope of a scale: the weights that share one α.
 */
import { checkName, checkWhole, rangeError } from '../checks.js'
import type { Radius, ScalePer } from '../options.js'

/** Shape of a layer's weights (groups, inputs, neurons), row-major. */
export interface WeightShape {
  readonly groups: number
  readonly inputs: number
  readonly neurons: number
}

/** Scales of a layer, (groups, blocks, neurons): input t belongs to block ⌊t / blockSize⌋, and a block shares one scale. */
export interface Scales {
  readonly values: Float32Array
  readonly blocks: number
  readonly blockSize: number
}

/** Fractions of the largest |w| that `mse` and `search` try, ascending: .40, .45, … 1.00. */
export const GRID: readonly number[] = Array.from({ length: 13 }, (_, i) => (40 + 5 * i) / 100)

/** Least radius. Smaller weights count as zeros, because their scale would leave float32's normal range. */
const LEAST_RADIUS = 2 ** -100

/** Scale of a scope that holds only zeros. It keeps v/s finite, and the values that it gives are negligible. */
const EMPTY_SCALE = 2 ** -60

/** @throws RangeError for other than an integer from 2 to 256 */
export const checkLevels = (place: string, levels: number): void => checkWhole(place, levels, 2, 256)

/** @throws RangeError for another scope, or a block of less than one input */
export function checkScalePer(scalePer: ScalePer): void {
  if (scalePer === 'layer' || scalePer === 'neuron') return
  if (typeof scalePer !== 'object') {
    throw rangeError('scalePer', "'layer', 'neuron' or { group: SIZE }", scalePer)
  }
  checkWhole('scalePer: group', scalePer.group, 1)
}

const RULES: readonly Radius['rule'][] = ['max', 'median', 'mean-max', 'mse', 'search', 'value']

/** @throws RangeError for another rule, or a number that is not finite or below 2⁻¹⁰⁰ */
export function checkRadius(radius: Radius): void {
  checkName('radius rule', radius.rule, RULES)
  const { rule } = radius
  const number =
    rule === 'value' ? radius.value : rule === 'median' || rule === 'mean-max' ? radius.factor : 1
  if (!(number >= LEAST_RADIUS && number < Number.POSITIVE_INFINITY)) {
    throw rangeError(`radius ${rule}`, 'a finite number above 2⁻¹⁰⁰', number)
  }
}

/** The code of the value 0: (M − 1)/2, not an integer where M is even. */
export const zeroPoint = (levels: number): number => (levels - 1) / 2

/** Inputs that share a scale: those of the group, or all. */
export function blockSizeOf(scalePer: ScalePer, inputs: number): number {
  return typeof scalePer === 'object' ? Math.min(scalePer.group, inputs) : inputs
}

/**
 * Scales by a rule. For `search` these are the scales of `max`, and the method multiplies them by each fraction of GRID.
 * @param weights (groups, inputs, neurons)
 * @returns scales (groups, blocks, neurons)
 * @throws RangeError for a group or a radius out of range
 */
export function scalesFor(
  weights: Float32Array,
  shape: WeightShape,
  levels: number,
  scalePer: ScalePer,
  radius: Radius,
): Scales {
  checkScalePer(scalePer)
  checkRadius(radius)
  const blockSize = blockSizeOf(scalePer, shape.inputs)
  const blocks = Math.ceil(shape.inputs / blockSize)
  const radii = radiiFor(weights, shape, blockSize, levels, scalePer, radius)
  const scaleOf = (alpha: number): number =>
    alpha >= LEAST_RADIUS ? (2 * alpha) / (levels - 1) : EMPTY_SCALE
  const values = new Float32Array(shape.groups * blocks * shape.neurons)
  return {
    values: values.map((_, i) => scaleOf(typeof radii === 'number' ? radii : radii[i]!)),
    blocks,
    blockSize,
  }
}

/** The radius of all scopes, or the radii (groups, blocks, neurons). */
function radiiFor(
  weights: Float32Array,
  shape: WeightShape,
  blockSize: number,
  levels: number,
  scalePer: ScalePer,
  radius: Radius,
): number | Float64Array {
  const { rule } = radius
  if (rule === 'value') return radius.value
  if (rule === 'median') return radius.factor * medianMagnitude(weights)
  if (rule === 'mean-max') {
    const columns = scopeMaxima(weights, shape, shape.inputs)
    return (radius.factor * sum(columns)) / columns.length
  }
  const maxima = scopeMaxima(weights, shape, blockSize)
  const shared = scalePer === 'layer'
  if (shared) maxima.fill(maxima.reduce((a, b) => Math.max(a, b), 0))
  return rule === 'mse' ? leastWeightError(weights, shape, blockSize, levels, maxima, shared) : maxima
}

/** Visits each row of weights (neurons) with the indices of its first weight and of its first scale. */
function eachRow(
  { groups, inputs, neurons }: WeightShape,
  blockSize: number,
  visit: (row: number, scales: number) => void,
): void {
  const blocks = Math.ceil(inputs / blockSize)
  for (let row = 0; row < groups * inputs; row++) {
    const t = row % inputs
    visit(row * neurons, (((row - t) / inputs) * blocks + Math.floor(t / blockSize)) * neurons)
  }
}

/** Largest |w| of each scope, (groups, blocks, neurons). */
function scopeMaxima(weights: Float32Array, shape: WeightShape, blockSize: number): Float64Array {
  const maxima = new Float64Array(shape.groups * Math.ceil(shape.inputs / blockSize) * shape.neurons)
  eachRow(shape, blockSize, (from, to) => {
    for (let k = 0; k < shape.neurons; k++) {
      const magnitude = Math.abs(weights[from + k]!)
      if (magnitude > maxima[to + k]!) maxima[to + k] = magnitude
    }
  })
  return maxima
}

/** Radius of each scope: the fraction of its maximum with the least Σ (w − A(w))², (groups, blocks, neurons). */
function leastWeightError(
  weights: Float32Array,
  shape: WeightShape,
  blockSize: number,
  levels: number,
  maxima: Float64Array,
  shared: boolean,
): Float64Array {
  const zero = zeroPoint(levels)
  let best = new Float64Array(maxima.length)
  const least = new Float64Array(maxima.length).fill(Number.POSITIVE_INFINITY)
  for (const fraction of GRID) {
    const scales = maxima.map((alpha) => (2 * alpha * fraction) / (levels - 1) || EMPTY_SCALE)
    const errors = new Float64Array(maxima.length)
    eachRow(shape, blockSize, (from, to) => {
      for (let k = 0; k < shape.neurons; k++) {
        const w = weights[from + k]!
        const s = scales[to + k]!
        const code = Math.min(levels - 1, Math.max(0, nearestEven(w / s + zero)))
        const d = w - s * (code - zero)
        errors[to + k] = errors[to + k]! + d * d
      }
    })
    if (shared) errors.fill(sum(errors))
    best = best.map((radius, i) => {
      if (errors[i]! >= least[i]!) return radius
      least[i] = errors[i]!
      return maxima[i]! * fraction
    })
  }
  return best
}

/** Nearest integer, ties to even, for |x| < 2⁵¹, as f32x4.nearest and IEEE 754 define it. */
export function nearestEven(x: number): number {
  const shift = 2 ** 52 + 2 ** 51
  return x + shift - shift
}

function medianMagnitude(weights: Float32Array): number {
  const sorted = weights.map(Math.abs).sort()
  const middle = sorted.length >> 1
  const median = sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
  if (median === 0 && sorted.at(-1)! > 0) {
    throw rangeError('radius median', 'a median above 0', '0; use another rule')
  }
  return median
}

const sum = (values: Float64Array): number => values.reduce((a, b) => a + b, 0)

/** Codes (groups, inputs, neurons), and the scales (groups, blocks, neurons) and zero point that make them values. */
export interface QuantizedValues {
  readonly codes: Uint8Array
  readonly scales: Float32Array
  readonly blockSize: number
  readonly zero: number
  /** The values themselves, (groups, inputs, neurons), where a code does not stand for one weight (method frame). */
  readonly values?: Float32Array
}

/**
 * The values of a quantized weight: scale·(code − zero), or of method frame its own.
 * @param quantized what quantizeLayer or solve gives
 * @param shape of the weights; a dense layer has one group
 * @returns (groups, inputs, neurons) float32, in units of the weights
 * @example
 * const values = dequantize(await quantizer.quantizeLayer(problem), { groups: 1, inputs, neurons })
 */
export function dequantize(quantized: QuantizedValues, shape: WeightShape): Float32Array {
  const { codes, scales, blockSize, zero, values: reals } = quantized
  if (reals !== undefined) return reals
  const values = new Float32Array(codes.length)
  eachRow(shape, blockSize, (row, at) => {
    for (let k = 0; k < shape.neurons; k++) values[row + k] = scales[at + k]! * (codes[row + k]! - zero)
  })
  return values
}
