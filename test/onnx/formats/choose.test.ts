import { describe, expect, it } from 'vitest'
import { chooseFormat, formatsFor } from '#src/onnx/formats/choose.js'
import { indexGraph } from '#src/onnx/graph.js'
import { findLayers } from '#src/onnx/layers.js'
import { decodeModel } from '#src/onnx/model.js'
import { writeQuantized } from '#src/onnx/writeQuantized.js'
import type { Format } from '../../../src/onnx/layer.js'
import * as b from '../build.js'
import { randomQuantized } from '../cases.js'

const matmul = (neurons: number, opset: number, extra = b.node('Relu', ['x'], ['z']), inputs = 64) =>
  b.model(
    [b.node('MatMul', ['x', 'w'], ['y']), extra],
    [b.floats('w', [inputs, neurons], b.noise(inputs * neurons))],
    ['x'],
    ['y', 'z'],
    { opset },
  )
const optionsOf = (model: ReturnType<typeof matmul>, levels: number, block = 64) => {
  const graph = indexGraph(model)
  const [layer] = findLayers(graph).layers
  const options = formatsFor(graph, layer!, levels, block)
  return {
    of: (format: Format) => options.find((option) => option.format === format)!,
    choose: (asked: Format | 'auto') => chooseFormat(graph, layer!, levels, block, asked),
  }
}

describe('formatsFor', () => {
  it('takes the narrowest integers that levels fit into, raising the opset where it may', () => {
    const reason = (levels: number, opset: number) => optionsOf(matmul(64, opset), levels).of('qdq').reason
    expect(reason(3, 13)).toMatch(/int2, .*raises opset 13 to 25/)
    expect(optionsOf(matmul(63, 25), 3).of('qdq').reason).toMatch(/int2/)
    expect(reason(15, 13)).toMatch(/int4, .*raises opset 13 to 21/)
    expect(reason(15, 21)).not.toMatch(/raises/)
    expect(reason(16, 25)).toMatch(/int8/)
    expect(reason(255, 13)).toMatch(/int8/)
    expect(reason(256, 21)).toMatch(/int16/)
  })

  it('takes a wider type, with the reason, where an operator would change its meaning', () => {
    const mean = b.node('ReduceMean', ['x'], ['z'], { axes: [1] })
    const { reason } = optionsOf(matmul(64, 13, mean), 15).of('qdq')
    expect(reason).toMatch(/int8, .*int4 needs opset 21, and ReduceMean 'z_node' means something else there/)
    expect(optionsOf(matmul(64, 13, mean), 15, 16).of('qdq')).toMatchObject({ possible: false, bytes: 0 })
  })

  it('has no DequantizeLinear per neuron before opset 13', () => {
    expect(optionsOf(matmul(64, 12), 15).of('qdq')).toMatchObject({ possible: false })
    expect(optionsOf(matmul(64, 12), 15).of('packed')).toMatchObject({ possible: true })
  })

  it('offers nbits for what fits into 2, 4 or 8 bits around a zero, in blocks of 16 at least', () => {
    const nbits = (levels: number, block = 64) => optionsOf(matmul(64, 13), levels, block).of('nbits')
    expect([3, 15, 255].map((levels) => nbits(levels).reason)).toEqual([
      expect.stringMatching('2 bits'),
      expect.stringMatching('4 bits'),
      expect.stringMatching('8 bits'),
    ])
    expect(nbits(256)).toMatchObject({ possible: false })
    expect(nbits(15, 48)).toMatchObject({ possible: true, reason: expect.stringMatching('blocks of 16') })
    expect(nbits(15, 20)).toMatchObject({ possible: false })
  })

  it('estimates bytes within 250 of what is written', () => {
    const model = matmul(64, 13)
    const graph = indexGraph(model)
    const [layer] = findLayers(graph).layers
    for (const levels of [3, 7, 15, 255])
      for (const block of [64, 16]) {
        const quantized = randomQuantized(layer!, levels, block, false, 1)
        for (const { format, bytes, possible } of formatsFor(graph, layer!, levels, block)) {
          if (!possible) continue
          const written = writeQuantized(model, [{ layer: layer!, quantized, format }]).bytes.get(
            layer!.name,
          )!
          expect(Math.abs(written - bytes), `${format} ${levels} ${block}`).toBeLessThan(250)
        }
      }
  })
})

describe('chooseFormat', () => {
  it('packs by default, and keeps weights as float that are too small for it', () => {
    expect(optionsOf(matmul(64, 13), 15).choose('auto')).toMatchObject({
      format: 'packed',
      reason: expect.stringMatching(/smallest file/),
    })
    expect(optionsOf(matmul(1, 13, undefined, 32), 15, 32).choose('auto')).toMatchObject({
      format: 'float',
      reason: expect.stringMatching(/too small/),
    })
  })

  it('does what is asked where it can, and packs where it cannot, with the reason', () => {
    expect(optionsOf(matmul(64, 13), 15).choose('qdq').format).toBe('qdq')
    expect(optionsOf(matmul(64, 9), 15).choose('qdq')).toMatchObject({
      format: 'packed',
      reason: expect.stringMatching(/^qdq is not possible \(int4 needs opset 21.*; packed: /),
    })
  })
})

describe.skipIf(!b.hasAssets)('real models', () => {
  it('keep opset 13 where the axes of reductions are an attribute (the llama)', () => {
    const graph = indexGraph(decodeModel(b.realModel('tinystories-llama-260k-t256')))
    for (const layer of findLayers(graph).layers) {
      const qdq = formatsFor(graph, layer, 15, layer.inputs).find(({ format }) => format === 'qdq')!
      expect(qdq.reason).toMatch(/int8.*ReduceMean/)
    }
  })
})
