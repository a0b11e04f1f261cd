/**
 * What layers lost, from their outputs in both streams: sums of ‖Y‖² and ‖Y − Ỹ‖² by tensor. Sums are float64; each segment of
 * samples is summed from zero and kept by itself, so that the total of all shards is the same however samples were cut.
 */
import type { OutputSums } from '../methods/measure.js'
import { floatsOf } from '../tensor/floats.js'
import type { Tensor } from '../tensor/tensor.js'
import type { OutputPair } from './streamTensors.js'

export class OutputErrors {
  /** Tensor → segment → sums. */
  readonly sums: ReadonlyMap<string, ReadonlyMap<number, OutputSums>>

  constructor(sums: ReadonlyMap<string, ReadonlyMap<number, OutputSums>> = new Map()) {
    this.sums = sums
  }

  /** The sums of a layer's outputs, null where none of them were computed. */
  of(tensors: readonly string[]): OutputSums | null {
    const found = tensors.flatMap((tensor) => {
      const segments = this.sums.get(tensor)
      return segments === undefined ? [] : [...segments].sort(([a], [b]) => a - b).map(([, sums]) => sums)
    })
    if (found.length === 0) return null
    return found.reduce(added, ZERO)
  }

  /** These sums and those of other samples, or of other tensors. */
  with(other: OutputErrors): OutputErrors {
    const all = new Map([...this.sums].map(([tensor, segments]) => [tensor, new Map(segments)]))
    for (const [tensor, segments] of other.sums) {
      const own = all.get(tensor) ?? new Map<number, OutputSums>()
      for (const [segment, sums] of segments) own.set(segment, added(own.get(segment) ?? ZERO, sums))
      all.set(tensor, own)
    }
    return new OutputErrors(all)
  }
}

const ZERO: OutputSums = { signal2: 0, error2: 0 }

const added = (a: OutputSums, b: OutputSums): OutputSums => ({
  signal2: a.signal2 + b.signal2,
  error2: a.error2 + b.error2,
})

/** Adds pairs of outputs up. */
export interface OutputErrorSums {
  add(pair: OutputPair): void
  result(): OutputErrors
}

/** @param segmentSamples samples of a segment */
export function sumOutputErrors(segmentSamples: number): OutputErrorSums {
  const sums = new Map<string, Map<number, OutputSums>>()
  return {
    add({ tensor, float, quantized, firstSample, samples }) {
      const own = sums.get(tensor) ?? new Map<number, OutputSums>()
      sums.set(tensor, own)
      const [y, z] = [floatsOf(float), floatsOf(quantized)]
      // Where the leading axis does not count samples, the whole batch belongs to the segment of its first one.
      const parts = samples > 0 && (float.dims[0] ?? 0) % samples === 0 ? samples : 1
      const length = y.length / parts
      for (let part = 0; part < parts; part++) {
        const segment = Math.floor((firstSample + part) / segmentSamples)
        const found = sumsOf(y, z, part * length, (part + 1) * length)
        own.set(segment, added(own.get(segment) ?? ZERO, found))
      }
    },
    result: () => new OutputErrors(sums),
  }
}

function sumsOf(y: Float32Array, z: Float32Array, from: number, to: number): OutputSums {
  let signal2 = 0
  let error2 = 0
  for (let i = from; i < to; i++) {
    const value = y[i]!
    const difference = value - z[i]!
    signal2 += value * value
    error2 += difference * difference
  }
  return { signal2, error2 }
}

/** The sums over two tensors of one shape. */
export function outputSums(float: Tensor, quantized: Tensor): OutputSums {
  const y = floatsOf(float)
  return sumsOf(y, floatsOf(quantized), 0, y.length)
}

/** ‖Y − Ỹ‖ / ‖Y‖; null where nothing was computed or nothing was lost of nothing. */
export function relativeOf(sums: OutputSums | null): number | null {
  if (sums === null) return null
  if (sums.signal2 > 0) return Math.sqrt(sums.error2 / sums.signal2)
  return sums.error2 === 0 ? null : Number.POSITIVE_INFINITY
}
