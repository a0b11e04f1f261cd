/**
 * The independent witness: layers whose codes a float64 program outside of this project chose (../shared/golden, see its
 * README). Every layer, on one and two threads, gives its codes. A neuron with a value within 10⁻⁴ steps
 * of a rounding boundary may leave the golden path there; such neurons are counted, and no other may differ at all.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { zeroPoint } from '#src/methods/alphabet.js'
import { GPFQ } from '#src/methods/recipe.js'
import { gpfq } from '#src/reference/gpfq.js'
import { createEngine, type OwnEngine } from './engine/engine.js'
import { entries, FOLDER, type Golden, load, present, solve } from './goldenLayers.js'

const NEAR = 1e-4

/** Neurons whose codes differ; fails where one differs before its path comes near a boundary. */
function countDiffering({ groups, inputs, neurons, codes, margins }: Golden, actual: Uint8Array): number {
  let differing = 0
  for (let g = 0; g < groups; g++) {
    for (let k = 0; k < neurons; k++) {
      const at = (t: number): number => (g * inputs + t) * neurons + k
      for (let t = 0; t < inputs && !(margins[at(t)]! < NEAR); t++) {
        if (actual[at(t)] !== codes[at(t)]) {
          expect(actual[at(t)], `code of group ${g}, input ${t}, neuron ${k}`).toBe(codes[at(t)])
        }
      }
      for (let t = 0; t < inputs; t++) {
        if (actual[at(t)] === codes[at(t)]) continue
        differing++
        break
      }
    }
  }
  return differing
}

/** The reference on group g. */
function reference(golden: Golden, levels: number, g: number): ReturnType<typeof gpfq> {
  const { rows, inputs, neurons, weights, scales, samples } = golden
  const blocks = Math.ceil(inputs / scales.blockSize)
  return gpfq({
    ...{ rows, inputs, neurons, levels },
    weights: weights.subarray(g * inputs * neurons, (g + 1) * inputs * neurons),
    samples: samples[g]!.x,
    quantizedSamples: samples[g]!.xq,
    scales: scales.values.subarray(g * blocks * neurons, (g + 1) * blocks * neurons),
    blockSize: scales.blockSize,
    zero: zeroPoint(levels),
  })
}

const engines: OwnEngine[] = []
beforeAll(async () => {
  if (present) for (const threads of [1, 2]) engines.push(await createEngine(threads))
})
afterAll(async () => {
  await Promise.all(engines.map(({ pool }) => pool.close()))
})

describe.skipIf(!present)('golden layers', () => {
  describe.each(entries)('$name', (entry) => {
    const golden = load(entry)
    const { groups, samples, rows, inputs, neurons } = golden

    it('is what the reference computes', () => {
      const codes = new Uint8Array(golden.codes.length)
      const errors = samples.map((_, g) => {
        const result = reference(golden, entry.levels, g)
        codes.set(result.codes, g * inputs * neurons)
        return result.relativeError
      })
      expect(countDiffering(golden, codes)).toBe(0)
      const expected = entry.relativeErrorByGroup ?? [entry.relativeError!]
      expected.forEach((error, g) => {
        expect(errors[g]! / error).toBeCloseTo(1, 4)
      })
    })

    it.each([1, 2])('comes out of observe and solve on %i threads', async (threads) => {
      const engine = engines[threads - 1]!
      const { solutions, relativeError } = await solve(engine, golden, entry.levels, GPFQ, true)
      expect(countDiffering(golden, solutions[0]!.codes)).toBeLessThanOrEqual(entry.nearTies)
      // The golden errors are per group: join them by the groups' signals.
      let error2 = 0
      let signal2 = 0
      for (let g = 0; g < groups; g++) {
        const signal = signalOf(
          samples[g]!.x,
          golden.weights.subarray(g * inputs * neurons),
          rows,
          inputs,
          neurons,
        )
        const error =
          entry.relativeErrorByGroup?.[g] ??
          entry.relativeError ??
          reference(golden, entry.levels, g).relativeError
        signal2 += signal
        error2 += error * error * signal
      }
      expect(relativeError! / Math.sqrt(error2 / signal2)).toBeCloseTo(1, 4)
    })
  })
})

/** ‖XW‖² */
function signalOf(
  x: ArrayLike<number>,
  w: Float32Array,
  rows: number,
  inputs: number,
  neurons: number,
): number {
  let signal2 = 0
  for (let r = 0; r < rows; r++) {
    for (let k = 0; k < neurons; k++) {
      let y = 0
      for (let t = 0; t < inputs; t++) y += x[r * inputs + t]! * w[t * neurons + k]!
      signal2 += y * y
    }
  }
  return signal2
}

if (!present) it.skip(`golden layers: there is no ${FOLDER.pathname}index.json`, () => {})
