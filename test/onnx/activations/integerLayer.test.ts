/**
 * The numbers of models on integers: ONNX Runtime Web against a simulation in float64 that rounds activations and nothing else.
 * Integer kernels round a value in the middle between two codes the other way now and then, so differences are stated in parts
 * of the largest output: one step of a quantizer is 1/255 to 2/255 of that.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { indexGraph } from '#src/onnx/graph.js'
import { findLayers } from '#src/onnx/layers.js'
import { encodeModel } from '#src/onnx/model.js'
import type { QuantizedWeight } from '../../../src/onnx/layer.js'
import * as b from '../build.js'
import { type IntegerModel, valuesOfFeeds, writeOnIntegers } from './integerModels.js'
import { layerKernels, profile } from './kernels.js'
import { NETS } from './nets.js'
import { conv, feedsOfNet, gemm, linear, modelOfNet, net } from './parts.js'
import { evaluate } from './simulate.js'

type Feeds = Record<string, b.ort.Tensor>

function simulated({ floats, integers, dynamicNodes }: IntegerModel, feeds: Feeds): Float64Array {
  const { plan, quantizers } = integers
  const quantized = [...plan.tensors, ...plan.like.keys()]
  return evaluate(floats, valuesOfFeeds(feeds), {
    quantizers: new Map(
      quantized.map((tensor) => [tensor, quantizers.get(plan.like.get(tensor) ?? tensor)!] as const),
    ),
    dynamic: new Set(dynamicNodes),
  }).get('y')!.data
}

/** The largest and the mean difference from the simulation, in parts of the largest output. */
async function differences(model: IntegerModel, feeds: Feeds): Promise<{ largest: number; mean: number }> {
  const expected = simulated(model, feeds)
  const { y } = await b.run(encodeModel(model.written), feeds)
  const errors = Array.from(y!.data as Float32Array, (value, i) => Math.abs(value - expected[i]!))
  expect(errors.length).toBe(expected.length)
  const size = Math.max(...expected.map(Math.abs))
  return {
    largest: Math.max(...errors) / size,
    mean: errors.reduce((sum, error) => sum + error, 0) / errors.length / size,
  }
}

async function expectNumbers(model: IntegerModel, feeds: Feeds): Promise<void> {
  const { largest, mean } = await differences(model, feeds)
  expect(largest).toBeLessThan(4 / 255)
  expect(mean).toBeLessThan(0.3 / 255)
}

describe.each(Object.entries(NETS))('%s', (_, tested) => {
  for (const format of ['packed', 'qdq'] as const)
    it(`computes what the simulation computes, ${format}`, async () => {
      const feeds = feedsOfNet(tested)
      const model = writeOnIntegers(modelOfNet(tested, 13), valuesOfFeeds(feeds), {
        format,
        float: tested.float ?? [],
      })
      await expectNumbers(model, feeds)
    })
})

const small = {
  Conv: net([conv('x', 'c1', 4, 8), conv('c1', 'c2', 8, 5, [1, 1])], 'c2'),
  Gemm: net([gemm('x', 'g1', 33, 16, 0, 0.5), gemm('g1', 'g2', 16, 7, 1)], 'g2', {}, { x: [6, 33] }),
  MatMul: net([linear('x', 'a', 33, 16), linear('a_sum', 'b', 16, 7)], 'b_sum', {}, { x: [2, 5, 33] }),
}

describe.each(Object.entries(small))('%s', (_, tested) => {
  const feeds = feedsOfNet(tested)
  const names = findLayers(indexGraph(modelOfNet(tested, 13))).layers.map(({ name }) => name)

  async function expectIntegers(model: IntegerModel): Promise<void> {
    const { kernels } = await profile(model.written, feeds)
    expect(layerKernels(kernels, names)).toEqual({ integer: names.toSorted(), float: [] })
    await expectNumbers(model, feeds)
  }

  it('runs on integers with any number of levels that fits', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.integer({ min: 2, max: 128 }),
          fc.integer({ min: 1, max: 127 }).map((bound) => 2 * bound + 1),
        ),
        fc.constantFrom('packed' as const, 'qdq' as const),
        fc.boolean(),
        async (levels, format, equal) => {
          const options = { levels, format, equal }
          await expectIntegers(writeOnIntegers(modelOfNet(tested, 13), valuesOfFeeds(feeds), options))
        },
      ),
      { numRuns: 12 },
    )
  })

  it('adds corrections of biases', async () => {
    const corrections = new Map(
      findLayers(indexGraph(modelOfNet(tested, 13))).layers.map(({ name, neurons }, i) => [
        name,
        b.noise(neurons, 11 + i).map((v) => 3 * v),
      ]),
    )
    for (const format of ['packed', 'qdq'] as const) {
      const plain = writeOnIntegers(modelOfNet(tested, 13), valuesOfFeeds(feeds), { format })
      const corrected = writeOnIntegers(modelOfNet(tested, 13), valuesOfFeeds(feeds), { format, corrections })
      expect(b.relativeDifference(simulated(plain, feeds), simulated(corrected, feeds))).toBeGreaterThan(0.2)
      await expectIntegers(corrected)
    }
  })

  it('keeps biases that are large beside the weights', async () => {
    for (const levels of [3, 4, 15, 16])
      for (const format of ['packed', 'qdq'] as const) {
        // Neuron 0 has a scale of 2⁻⁶⁰, as neurons without weights have; neuron 1 has scale 0.
        const change = (quantized: QuantizedWeight): QuantizedWeight => ({
          ...quantized,
          scales: quantized.scales.map((scale, k) => (k === 0 ? 2 ** -60 : k === 1 ? 0 : scale)),
        })
        await expectIntegers(
          writeOnIntegers(modelOfNet(tested, 13), valuesOfFeeds(feeds), { levels, format, change }),
        )
      }
  })
})
