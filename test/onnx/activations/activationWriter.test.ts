/** Quantizers of activations in the written model: what is rewired, left out and shared, and what it costs. */
import { describe, expect, it } from 'vitest'
import { chooseKernel } from '#src/onnx/activations/chooseKernel.js'
import { planIntegers } from '#src/onnx/activations/planIntegers.js'
import { quantizerOver } from '#src/onnx/activations/quantizer.js'
import { foldBatchNorms } from '#src/onnx/foldBatchNorm.js'
import { indexGraph } from '#src/onnx/graph.js'
import { findLayers } from '#src/onnx/layers.js'
import { decodeModel, encodeModel } from '#src/onnx/model.js'
import { writeQuantized } from '#src/onnx/writeQuantized.js'
import type { RangeKind } from '../../../src/onnx/activations/integers.js'
import type { Layer } from '../../../src/onnx/layer.js'
import * as b from '../build.js'
import { randomEntries } from '../quantizedModels.js'
import { valuesOfFeeds, writeOnIntegers } from './integerModels.js'
import { profile } from './kernels.js'
import { NETS } from './nets.js'
import { conv, feedsOfNet, modelOfNet, net } from './parts.js'
import { evaluate } from './simulate.js'

const written = (name: string, options: Parameters<typeof writeOnIntegers>[2] = {}) => {
  const tested = NETS[name]!
  const feeds = feedsOfNet(tested)
  const model = modelOfNet(tested, 13)
  return { feeds, ...writeOnIntegers(model, valuesOfFeeds(feeds), options) }
}

describe('Relu and Clip', () => {
  it('are left out where the quantizer clamps to the same values', () => {
    const { graph } = written('Clip behind').written
    expect(graph!.node.map(({ opType }) => opType)).not.toContain('Clip')
  })

  it('stay where the quantizer holds more', async () => {
    const quantizer = quantizerOver(-9, 9)
    const range = () => quantizer
    const model = written('Clip behind', { range })
    expect(model.written.graph!.node.filter(({ opType }) => opType === 'Clip').length).toBe(2)
    const { outputs } = await profile(model.written, model.feeds)
    const expected = evaluate(model.floats, valuesOfFeeds(model.feeds), {
      quantizers: model.integers.quantizers,
      dynamic: new Set(),
    }).get('y')!.data
    const got = outputs.y!.data as Float32Array
    const steps = Array.from(got, (value, i) => Math.abs(value - expected[i]!) / quantizer.scale)
    expect(Math.max(...steps)).toBeLessThan(1.01)
  })
})

describe('names', () => {
  it('keeps the names of quantized tensors for their readers, and rewires those of an input of the graph', () => {
    const { graph } = written('a tensor read by a float node too').written
    const exp = graph!.node.find(({ opType }) => opType === 'Exp')!
    expect(exp.input).toEqual(['r1'])
    expect(graph!.node.find(({ output }) => output.includes('r1'))!.opType).toBe('DequantizeLinear')
    const first = graph!.node.find(({ name }) => name === 'c1')!
    expect(graph!.node.find(({ output }) => output.includes(first.input[0]!))!.opType).toBe(
      'DequantizeLinear',
    )
    expect(graph!.node.filter(({ input }) => input.includes('x')).map(({ opType }) => opType)).toEqual([
      'QuantizeLinear',
    ])
  })

  it('shares scales and zero points', () => {
    const { graph } = written('residual block', { range: () => ({ scale: 0.5, zeroPoint: 7 }) }).written
    const quantizers = graph!.node.filter(({ opType }) => opType === 'QuantizeLinear')
    expect(quantizers.length).toBe(6)
    expect(new Set(quantizers.map(({ input }) => input.slice(1).join())).size).toBe(1)
  })

  it('wants a quantizer for every planned tensor', () => {
    const tested = net([conv('x', 'c', 4, 8)], 'c')
    const model = modelOfNet(tested, 13)
    const { plan } = writeOnIntegers(model, valuesOfFeeds(feedsOfNet(tested))).integers
    expect(() => writeQuantized(model, [], new Map(), '', { plan, quantizers: new Map() })).toThrow(
      "quantizers: expected one for tensor 'x', got none",
    )
  })
})

describe.skipIf(!b.hasAssets)('real models', () => {
  for (const name of [
    'cifar10-resnet20',
    'imagenet-mobilenetv1-0.25-224',
    'tinystories-llama-260k-t256',
  ] as const)
    for (const asked of ['auto', 'int8'] as const)
      it(`${name} grows by less than 2 %, ${asked}`, async () => {
        const model = foldBatchNorms(decodeModel(b.realModel(name))).model
        const graph = indexGraph(model)
        const entries = randomEntries(model, 'packed', 15)
        const chosen = new Map<Layer, RangeKind>()
        for (const { layer, quantized, format } of entries) {
          const { ranges } = chooseKernel(graph, layer, { ...quantized, format }, asked)
          if (ranges !== null) chosen.set(layer, ranges)
        }
        const plan = planIntegers(graph, chosen)
        const quantizers = new Map(plan.tensors.map((t, i) => [t, { scale: 0.01 + i / 10000, zeroPoint: 0 }]))
        const plain = encodeModel(writeQuantized(model, entries).model).length
        const { model: integer } = writeQuantized(model, entries, new Map(), '', { plan, quantizers })
        expect(encodeModel(integer).length / plain).toBeLessThan(1.02)
        if (asked === 'auto') return
        expect(chosen.size).toBe(findLayers(graph).layers.length)
        const { kernels } = await profile(integer, b.realFeeds(name))
        const layerOps = /^(QLinearConv|QGemm|MatMulIntegerToFloat|DynamicQuantizeMatMul)$/
        expect(kernels.filter(({ op }) => layerOps.test(op)).length).toBe(chosen.size)
      })
})
