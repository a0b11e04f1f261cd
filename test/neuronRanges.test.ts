/**
 * A layer in pieces, by the public names alone: samples observed in two parts and merged, neurons solved in ranges, and
 * everything sent as bytes. The joined solution has the codes of the float64 twin and the bytes of the whole layer's.
 */
import { afterAll, expect, test } from 'vitest'
import { createQuantizer, dequantize, joinNeurons, merge, Observations } from '#src/index.js'
import { solutionBytes, solutionFrom } from '#src/methods/solutionBytes.js'
import { gpfq } from '#src/reference/gpfq.js'
import { activations, disturbed, reals } from './random.js'

const [rows, inputs, neurons, levels] = [600, 40, 24, 7]
const samples = activations(rows * inputs, 1)
const quantizedSamples = disturbed(samples, 0.05, 2)
const weights = reals(inputs * neurons, 3)
const options = { method: 'gpfq', levels, radius: { rule: 'max' } } as const

const quantizer = await createQuantizer({ threads: 2 })
afterAll(() => quantizer.close())

/** Observations of some rows, as bytes. */
async function observedBytes(from: number, to: number): Promise<Uint8Array> {
  const observer = await quantizer.observe({ inputs, segmentRows: 256, later: from > 0 })
  await observer.add(
    samples.subarray(from * inputs, to * inputs),
    quantizedSamples.subarray(from * inputs, to * inputs),
  )
  return observer.bytes
}

test('ranges of neurons on merged parts of the samples join to the whole layer', async () => {
  const [first, second] = [await observedBytes(0, 512), await observedBytes(512, rows)]
  const seen = merge(Observations.from(first), Observations.from(second))
  const edges = [0, 8, 13, neurons]
  const parts = await Promise.all(
    edges.slice(1).map(async (to, i) => {
      const solved = await quantizer.solve(seen, weights, { ...options, neurons: { from: edges[i]!, to } })
      return solutionFrom(solutionBytes(solved))
    }),
  )
  const joined = joinNeurons(parts)
  const whole = await quantizer.solve(Observations.from(await observedBytes(0, rows)), weights, options)
  expect(solutionBytes(joined)).toEqual(solutionBytes(whole))
  expect(joined).toMatchObject({ groups: 1, inputs, neurons, levels, blockSize: inputs, zero: 3 })

  const { scales, blockSize, zero } = joined
  const twin = gpfq({
    ...{ weights, samples, quantizedSamples, rows, inputs, neurons },
    ...{ levels, scales, blockSize, zero },
  })
  const decided = [...twin.codes.keys()].filter((i) => twin.margins[i]! > 1e-4)
  expect(decided.length).toBeGreaterThan(0.99 * inputs * neurons)
  expect(decided.map((i) => joined.codes[i])).toEqual(decided.map((i) => twin.codes[i]))
  expect(dequantize(joined, joined)[0]).toBe(Math.fround(scales[0]! * (joined.codes[0]! - zero)))
})
