/**
 * Scales of blocks of inputs, chosen along the path (assembly/fork.ts), against the float64 recursion: which fraction of
 * each block's largest scale, and the codes that follow from it.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { GRID, scalesFor } from '#src/methods/alphabet.js'
import { forkedPath } from '#src/reference/fork.js'
import { layerCases, layerOf, openQuantizers, orderOf, quantizeEverywhere, type TwinLayer } from './twin.js'

const quantizers = await openQuantizers(1, 3)

/** Relative difference of residuals that float32 sums cannot distinguish. */
const NEAR = 1e-4

const search = { radius: { rule: 'search' } } as const

/** A layer with its inputs in another order. */
function sorted(layer: TwinLayer, order: readonly number[]): TwinLayer {
  const { inputs, neurons, weights, samples, quantizedSamples } = layer
  const columns = (x: Float32Array): Float32Array =>
    x.map((_, i) => x[i - (i % inputs) + order[i % inputs]!]!)
  return {
    ...layer,
    weights: weights.map((_, i) => weights[order[Math.floor(i / neurons)]! * neurons + (i % neurons)]!),
    samples: columns(samples),
    ...(quantizedSamples === undefined ? {} : { quantizedSamples: columns(quantizedSamples) }),
  }
}

/** Descending H_tt within each block. */
function withinBlocks(layer: TwinLayer, size: number): number[] {
  const order = orderOf(layer, true)
  const blockOf = (t: number): number => Math.floor(t / size)
  return order.sort((a, b) => blockOf(a) - blockOf(b) || order.indexOf(a) - order.indexOf(b))
}

describe('scales of blocks, searched', () => {
  it.each(['gpfq', 'msq'] as const)(
    'are those of the float64 path that forks at each block: %s',
    async (method) => {
      let neurons = 0
      let ties = 0
      await fc.assert(
        fc.asyncProperty(
          layerCases,
          fc.constantFrom(2, 3, 7, 15),
          fc.constantFrom(1, 3, 8, 13, 16, 32),
          fc.boolean(),
          async (given, levels, size, ordered) => {
            fc.pre(size < given.inputs)
            const actOrder = method === 'gpfq' && ordered
            // A block of zeros has an arbitrary scale, which shows where the alphabet has no zero.
            const layer = layerOf(levels % 2 === 0 ? { ...given, zeros: 0 } : given)
            const scalePer = { group: size }
            const result = await quantizeEverywhere(quantizers, layer, {
              ...{ ...search, levels, scalePer },
              ...(actOrder ? { method: 'gpfq', actOrder } : { method, actOrder: false as const }),
            })
            const order = actOrder ? withinBlocks(layer, size) : orderOf(layer, false)
            const shape = { groups: 1, inputs: layer.inputs, neurons: layer.neurons }
            const most = scalesFor(layer.weights, shape, levels, scalePer, { rule: 'max' }).values
            const inOrder = sorted(layer, order)
            const twin = forkedPath(
              {
                ...{ rows: layer.rows, inputs: layer.inputs, neurons: layer.neurons, levels },
                ...{ weights: inOrder.weights, samples: inOrder.samples },
                quantizedSamples: inOrder.quantizedSamples ?? inOrder.samples,
                ...{ scales: most, blockSize: size, zero: result.zero },
              },
              GRID,
              method === 'gpfq',
            )
            for (let k = 0; k < layer.neurons; k++) {
              neurons++
              if (!sameNeuron(result, twin, layer, order, size, k)) ties++
            }
          },
        ),
        { seed: 71, numRuns: 60 },
      )
      expect(neurons).toBeGreaterThan(200)
      expect(ties).toBeLessThan(0.03 * neurons)
    },
  )

  it('lose less than one fraction for all blocks of a neuron', async () => {
    const [quantizer] = quantizers
    let [along, single] = [0, 0]
    for (let seed = 0; seed < 12; seed++) {
      const layer = layerOf({ rows: 150, inputs: 80, neurons: 8, same: seed % 2 === 0, seed })
      const options = { levels: 7, scalePer: { group: 16 } } as const
      const errorOf = async (more: object): Promise<number> =>
        (await quantizer!.quantizeLayer(layer, { ...options, ...more })).relativeError!
      along += await errorOf({ ...search, actOrder: false })
      // Without passes, and compared by the same exact error. With λ = 0 sparsity is the path with one fraction a neuron.
      single += await errorOf({ ...search, actOrder: false, sparsity: { rule: 'hard', value: 0 } })
    }
    expect(along).toBeLessThan(0.97 * single)
  })
})

/** Returns false after a near tie of fractions or of codes; everything else must be equal. */
function sameNeuron(
  result: { codes: Uint8Array; scales: Float32Array },
  twin: ReturnType<typeof forkedPath>,
  { inputs, neurons }: TwinLayer,
  order: readonly number[],
  size: number,
  k: number,
): boolean {
  for (let low = 0; low < inputs; low += size) {
    const at = (low / size) * neurons + k
    const [found, expected] = [result.scales[at]!, twin.scales[at]!]
    if (Math.abs(found / expected - 1) > 1e-6) {
      const norms = twin.residuals[at]!
      const sortedNorms = [...norms].sort((a, b) => a - b)
      const gap = (sortedNorms[1]! - sortedNorms[0]!) / Math.max(sortedNorms[1]!, twin.signal2[k]! * 1e-3)
      expect(gap, `block ${low / size} of neuron ${k}: fraction`).toBeLessThan(NEAR)
      return false
    }
    for (let t = low; t < Math.min(inputs, low + size); t++) {
      if (result.codes[order[t]! * neurons + k] === twin.codes[t * neurons + k]) continue
      expect(twin.margins[t * neurons + k], `input ${t} of neuron ${k}: code`).toBeLessThan(NEAR)
      return false
    }
  }
  return true
}
