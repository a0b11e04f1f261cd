/**
 * Beacon (2508.20293) in float64, one neuron on its samples: integers z whose Xq z has the largest cosine with Xw. A
 * first pass chooses each z_t as if the layer ended with input t; further loops choose it given all others. Every value
 * of the alphabet is tried each time. As long as all chosen z are zero, the values of one sign have the same cosine.
 * Then the weight is rounded, at the scale whose alphabet just reaches the largest weight. Weights that are zero have
 * z_t = 0, if that is a value. ‖Xw‖ is the same for all values and left out of the cosine. Twin of assembly/beacon.ts, which computes the same from H and G.
 */
import { nearestEven } from '../methods/alphabet.js'
import type { NeuronOnSamples } from './spfq.js'

export interface BeaconResult {
  readonly z: Float64Array // (inputs): code − zero; 0 for dead inputs
  readonly scale: number
  /** Smallest relative distance between the best score and the second; where it is tiny, float32 may choose otherwise. */
  readonly margin: number
}

/** @param values all values of z, ascending @param loops passes after the first */
export function beacon(neuron: NeuronOnSamples, values: readonly number[], loops: number): BeaconResult {
  const { samples, quantizedSamples, rows, w } = neuron
  const inputs = w.length
  const top = values.at(-1)!
  const start = Math.fround(Array.from(w).reduce((most, value) => Math.max(most, Math.abs(value)), 0) / top)
  const z = new Float64Array(inputs)
  const y = new Float64Array(rows) // X_≤t w_≤t
  const v = new Float64Array(rows) // Xq z
  const pruned = (t: number): boolean => w[t] === 0 && values.includes(0)
  const column = (t: number): Float64Array =>
    Float64Array.from({ length: rows }, (_, r) => quantizedSamples[r * inputs + t]!)
  let margin = Number.POSITIVE_INFINITY
  for (let t = 0; t < inputs; t++) {
    for (let r = 0; r < rows; r++) y[r] = y[r]! + w[t]! * samples[r * inputs + t]!
    const x = column(t)
    if (dot(x, x) === 0 || pruned(t)) continue
    const picked = dot(v, v) > 0 ? best(y, v, x, values, null) : alone(dot(y, x) / dot(x, x) / start, values)
    margin = Math.min(margin, picked.margin)
    z[t] = picked.value
    for (let r = 0; r < rows; r++) v[r] = v[r]! + picked.value * x[r]!
  }
  for (let loop = 0; loop < loops; loop++) {
    for (let t = 0; t < inputs; t++) {
      const x = column(t)
      if (dot(x, x) === 0 || pruned(t)) continue
      for (let r = 0; r < rows; r++) v[r] = v[r]! - z[t]! * x[r]!
      const picked = best(y, v, x, values, z[t]!)
      margin = Math.min(margin, picked.margin)
      z[t] = picked.value
      for (let r = 0; r < rows; r++) v[r] = v[r]! + picked.value * x[r]!
    }
  }
  const length2 = dot(v, v)
  return { z, scale: length2 > 0 ? dot(y, v) / length2 : 0, margin }
}

/** The value nearest to v. */
function alone(v: number, values: readonly number[]): { readonly value: number; readonly margin: number } {
  const steps = v - values[0]!
  const code = Math.min(values.length - 1, Math.max(0, nearestEven(steps)))
  return { value: values[code]!, margin: nearestEven(steps) === code ? 0.5 - Math.abs(steps - code) : 1 }
}

/** The value p with the largest ⟨y, v + px⟩ / ‖v + px‖. Of equals `held` wins, then the smallest. */
function best(
  y: Float64Array,
  v: Float64Array,
  x: Float64Array,
  values: readonly number[],
  held: number | null,
): { readonly value: number; readonly margin: number } {
  const [a, r, c, h, n] = [dot(y, v), dot(y, x), dot(v, v), dot(v, x), dot(x, x)]
  const score = (p: number): number => {
    const length2 = c + 2 * p * h + p * p * n
    return length2 > 1e-12 * (c + n) ? (a + p * r) / Math.sqrt(length2) : 0
  }
  let value = held ?? values[0]!
  for (const p of values) if (score(p) > score(value)) value = p
  const others = values.filter((p) => p !== value).map(score)
  const size = Math.sqrt(dot(y, y)) + 1e-300
  return { value, margin: Math.min(...others.map((other) => (score(value) - other) / size)) }
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!
  return sum
}
