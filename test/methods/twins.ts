/**
 * The float64 twin of every method for the comparison in twin.ts, and the list of all methods with options that change their
 * codes. Tests of a property of all methods use that list.
 */
import { expect } from 'vitest'
import { nearestEven } from '#src/methods/alphabet.js'
import { seedOf } from '#src/methods/spfq.js'
import type { MethodOptions, Sparsity } from '#src/options.js'
import { beacon } from '#src/reference/beacon.js'
import { descend, multiplyVector } from '#src/reference/descend.js'
import { gramPath } from '#src/reference/gram.js'
import {
  damped,
  factorUnitLower,
  gptqTarget,
  type NearestPlane,
  nearestPlane,
  qronosTarget,
} from '#src/reference/nearestPlane.js'
import { hardThreshold, softThreshold } from '#src/reference/sparse.js'
import { draw, twoPhases } from '#src/reference/spfq.js'
import { vertexWalk } from '#src/reference/vertexWalk.js'
import type { Chosen, Decide, Twin, TwinLayer } from './twin.js'

export const gpfq: Twin = ({ h, g, w, choose }) => gramPath(h, g, w, w.length, choose).chosen

export const msq: Twin = ({ w, choose }) => w.map((v, t) => choose(t, v))

/** H + λI is factored once for all neurons of a layer. */
const planes = new WeakMap<Float64Array, NearestPlane>()
function planeOf(h: Float64Array, inputs: number): NearestPlane {
  const known = planes.get(h)
  if (known !== undefined) return known
  const plane = factorUnitLower(damped(h, inputs, 0.01), inputs)
  planes.set(h, plane)
  return plane
}

export const gptq: Twin = ({ h, w, choose }) => {
  const plane = planeOf(h, w.length)
  return nearestPlane(plane, gptqTarget(plane, w), choose).chosen
}

export const qronos: Twin = ({ h, g, w, choose }) => {
  const plane = planeOf(h, w.length)
  const hw = multiplyVector(h, w)
  const difference = multiplyVector(g, w).map((gw, t) => gw - hw[t]!)
  return nearestPlane(plane, qronosTarget(plane, h, difference, w), choose).chosen
}

/** With a threshold, float32 can decide differently at the threshold too, not only at rounding. */
export const sparse =
  ({ rule, value }: Sparsity): Twin =>
  ({ h, g, w, choose, doubt }) =>
    gramPath(h, g, w, w.length, (t, v) => {
      if (rule === 'hard') doubt(Math.abs(Math.abs(v) - value))
      return choose(t, (rule === 'soft' ? softThreshold : hardThreshold)(v, value))
    }).chosen

export const spfq =
  (alignment: number): Twin =>
  (neuron) =>
    twoPhases(neuron, alignment, neuron.choose)

/** Rounding by the draws of a seed. */
export const chance =
  (seed: number): Decide =>
  (steps, t, neuron) => {
    const fraction = steps - Math.floor(steps)
    const dice = draw(seedOf(seed, 0), neuron, t)
    return { code: Math.floor(steps) + (dice < fraction ? 1 : 0), margin: Math.abs(fraction - dice) }
  }

/** A twin followed by passes over its codes; the passes round to nearest. */
export const withPasses =
  (twin: Twin, passes: number, sparsely = false): Twin =>
  (neuron) => {
    const { h, g, w, nearest } = neuron
    const keeps = (t: number): boolean => sparsely || w[t] === 0
    return descend(h, multiplyVector(g, w), twin(neuron), passes, nearest, keeps)
  }

/** Rounding after the vertex walk on Xq. */
export const preprocessed =
  (levels: number): Twin =>
  ({ quantizedSamples, rows, w, choose }) =>
    vertexWalk(quantizedSamples, rows, w, levels % 2 === 1).map((v, t) => choose(t, v))

export interface MethodCase {
  readonly name: string
  readonly options: Exclude<MethodOptions, { method: 'frame' }>
  readonly twin: Twin
  readonly decide?: Decide
  /** Codes of a neuron depend on its number. */
  readonly counted?: boolean
}

const soft: Sparsity = { rule: 'soft', value: 0.11 }
const hard: Sparsity = { rule: 'hard', value: 0.237 }

/** All methods whose scales are given; beacon finds its own and is compared by countBeaconTies. */
export const METHOD_CASES: readonly MethodCase[] = [
  { name: 'msq', options: { method: 'msq' }, twin: msq },
  { name: 'msq with passes', options: { method: 'msq', passes: 2 }, twin: withPasses(msq, 2) },
  { name: 'gpfq', options: { method: 'gpfq' }, twin: gpfq },
  { name: 'gpfq in act-order', options: { method: 'gpfq', actOrder: true }, twin: gpfq },
  { name: 'gpfq with passes', options: { method: 'gpfq', passes: 3 }, twin: withPasses(gpfq, 3) },
  { name: 'gpfq, soft threshold', options: { sparsity: soft }, twin: sparse(soft) },
  { name: 'gpfq, hard threshold', options: { sparsity: hard }, twin: sparse(hard) },
  {
    name: 'gpfq, hard threshold, act-order and passes',
    options: { sparsity: hard, actOrder: true, passes: 2 },
    twin: withPasses(sparse(hard), 2, true),
  },
  { name: 'spfq', options: { method: 'spfq', seed: 7 }, twin: spfq(1), decide: chance(7), counted: true },
  {
    name: 'spfq, alignment of order 3, act-order and passes',
    options: { method: 'spfq', seed: 8, alignment: 3, actOrder: true, passes: 1 },
    twin: withPasses(spfq(3), 1),
    decide: chance(8),
    counted: true,
  },
  { name: 'gptq', options: { method: 'gptq' }, twin: gptq },
  { name: 'gptq in the inputs’ own order', options: { method: 'gptq', actOrder: false }, twin: gptq },
  { name: 'gptq with passes', options: { method: 'gptq', passes: 2 }, twin: withPasses(gptq, 2) },
  { name: 'qronos', options: { method: 'qronos' }, twin: qronos },
  { name: 'qronos in the inputs’ own order', options: { method: 'qronos', actOrder: false }, twin: qronos },
  { name: 'qronos, preset best', options: { preset: 'best' }, twin: withPasses(qronos, 3) },
]

/** Relative difference of two scores that float32 cannot always distinguish. */
const NEAR_SCORE = 1e-6

/**
 * Compares Beacon's codes and scales with the twin's.
 * @returns the number of neurons that differ after two nearly equal scores
 */
export function countBeaconTies(layer: TwinLayer, chosen: Chosen, levels: number, loops: number): number {
  const { rows, inputs, neurons, weights, samples, quantizedSamples = samples, h } = layer
  const { codes, scales, zero } = chosen
  const values = Array.from({ length: levels }, (_, code) => code - zero)
  let ties = 0
  for (let k = 0; k < neurons; k++) {
    const w = Float64Array.from({ length: inputs }, (_, t) => weights[t * neurons + k]!)
    const twin = beacon({ samples, quantizedSamples, rows, w }, values, loops)
    const turn = twin.scale < 0 ? -1 : 1 // a negative scale goes out as codes turned round
    const expected = Array.from(w, (v, t) =>
      h[t * inputs + t]! > 0
        ? turn * twin.z[t]! + zero
        : Math.min(levels - 1, Math.max(0, nearestEven(v / scales[k]! + zero))),
    )
    const actual = expected.map((_, t) => codes[t * neurons + k]!)
    if (twin.margin < NEAR_SCORE && actual.some((code, t) => code !== expected[t])) {
      ties++
      continue
    }
    expect(actual, `neuron ${k}, margin ${twin.margin}`).toEqual(expected)
    if (twin.scale !== 0) expect(scales[k]! / Math.abs(twin.scale)).toBeCloseTo(1, 4)
  }
  return ties
}

/**
 * Replays Beacon's decisions on the float64 samples. Each decision is compared with the best one given the earlier decisions
 * as the engine made them, so near ties do not exempt any path.
 * @param before codes after one loop less; null for the greedy pass, in which the layer ends with the current input
 * @returns regret: the largest loss of a decision, as a share of ‖Xw‖ so far; scaleError: the largest relative difference of
 * a scale from the best one for its codes
 */
export function replayBeacon(
  layer: TwinLayer,
  { codes, scales, zero }: Chosen,
  before: Uint8Array | null,
): { readonly regret: number; readonly scaleError: number } {
  const { rows, inputs, neurons, weights, samples, quantizedSamples = samples, h } = layer
  let [regret, scaleError] = [0, 0]
  for (let k = 0; k < neurons; k++) {
    const taken = (from: Uint8Array, t: number): number =>
      h[t * inputs + t]! > 0 ? from[t * neurons + k]! - zero : 0
    const [y, v] = [new Float64Array(rows), new Float64Array(rows)] // Xw and Xq z so far
    const add = (to: Float64Array, from: ArrayLike<number>, t: number, factor: number): void => {
      for (let r = 0; r < rows; r++) to[r] = to[r]! + factor * from[r * inputs + t]!
    }
    for (let t = 0; before !== null && t < inputs; t++) {
      add(y, samples, t, weights[t * neurons + k]!)
      add(v, quantizedSamples, t, taken(before, t))
    }
    for (let t = 0; t < inputs; t++) {
      if (before === null) add(y, samples, t, weights[t * neurons + k]!)
      else add(v, quantizedSamples, t, -taken(before, t))
      const z = taken(codes, t)
      const norm2 = h[t * inputs + t]!
      const [yv, vv] = [dot(y, v), dot(v, v)]
      // While Xq z is still zero, all values of one sign have the same score. A weight that stays zero has no choice.
      const kept = weights[t * neurons + k] === 0 && Number.isInteger(zero)
      if (norm2 > 0 && vv > 0 && !kept) {
        const x = Float64Array.from({ length: rows }, (_, r) => quantizedSamples[r * inputs + t]!)
        const [yx, vx] = [dot(y, x), dot(v, x)]
        const score = (p: number): number => {
          const length2 = vv + 2 * p * vx + p * p * norm2
          return length2 > 1e-9 * vv ? (yv + p * yx) / Math.sqrt(length2) : 0
        }
        const most = Math.max(...Array.from({ length: 2 * zero + 1 }, (_, code) => score(code - zero)))
        const size = Math.sqrt(dot(y, y))
        if (size > 0) regret = Math.max(regret, (most - score(z)) / size)
      }
      add(v, quantizedSamples, t, z)
    }
    const best = dot(y, v) / dot(v, v)
    if (best > 0) scaleError = Math.max(scaleError, Math.abs(scales[k]! / best - 1))
  }
  return { regret, scaleError }
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!
  return sum
}
