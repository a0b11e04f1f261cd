/** Which layers run on integers, and what people are told. */

import type { ModelProto, NodeProto, TensorProto } from 'onnx-buf'
import { describe, expect, it } from 'vitest'
import { type AskedKernel, chooseKernel } from '#src/onnx/activations/chooseKernel.js'
import { indexGraph } from '#src/onnx/graph.js'
import { findLayers } from '#src/onnx/layers.js'
import * as b from '../build.js'
import { conv, gemm, linear, modelOfNet, net } from './parts.js'

const form = { levels: 15, blockSize: 1e6, format: 'packed' as const }

function choose(
  model: ModelProto,
  asked: AskedKernel = 'auto',
  changes: Partial<Parameters<typeof chooseKernel>[2]> = {},
) {
  const graph = indexGraph(model)
  const layer = findLayers(graph).layers.at(-1)!
  return chooseKernel(graph, layer, { ...form, ...changes }, asked)
}

const convs = (channels: number, kernel: number[], group = 1) =>
  modelOfNet(
    net(
      [conv('x', 'c', channels, channels, kernel, group)],
      'c',
      {},
      { x: [1, channels, ...kernel.map(() => 8)] },
    ),
    13,
  )
const matmuls = (inputs: number, dims: number[], opset = 13) =>
  modelOfNet(net([linear('x', 'm', inputs, 8)], 'm_sum', {}, { x: [...dims, inputs] }), opset)
const int8 = (ranges: 'static' | 'dynamic', reason: unknown) => ({ kernel: 'int8', ranges, reason })
const float = (reason: unknown) => ({ kernel: 'float', ranges: null, reason })

describe('by shape', () => {
  it('takes convolutions from the sizes on from which integers pay', () => {
    expect(choose(convs(31, [3, 3]))).toEqual(
      float('integer convolutions of 3×3 pay from 32 input channels on; it has 31'),
    )
    expect(choose(convs(32, [3, 3]))).toEqual(
      int8('static', 'integer convolutions of 3×3 are 1.75 times as fast with 32 input channels'),
    )
    expect(choose(convs(64, [1, 1])).kernel).toBe('float')
    expect(choose(convs(128, [1, 1])).kernel).toBe('int8')
    expect(choose(convs(32, [5])).kernel).toBe('int8')
    expect(choose(convs(32, [1])).kernel).toBe('float')
  })

  it('leaves depthwise and grouped convolutions float', () => {
    expect(choose(convs(512, [3, 3], 512))).toEqual(float('depthwise: integer kernels are slower'))
    expect(choose(convs(64, [3, 3], 2))).toEqual(float('2 groups: integer kernels are slower'))
    expect(choose(convs(512, [3, 3], 512), 'int8')).toEqual(int8('static', 'asked for int8'))
  })

  it('takes a MatMul of many inputs on a sequence', () => {
    expect(choose(matmuls(383, [2, 6])).kernel).toBe('float')
    expect(choose(matmuls(384, [2, 6]))).toEqual(
      int8('dynamic', 'integer matrix products are 2.5 times as fast with 384 inputs'),
    )
    expect(choose(matmuls(384, [2, 6]), 'auto', { format: 'qdq' }).ranges).toBe('static')
    expect(choose(matmuls(384, [6]))).toEqual(float('one row a sample: integer kernels are slower'))
  })

  it('leaves a Gemm float, and a layer that makes an output of the model', () => {
    const model = modelOfNet(net([gemm('x', 'g', 512, 8, 1)], 'g', {}, { x: [4, 512] }), 13)
    expect(choose(model)).toEqual(float('one row a sample: integer kernels are slower'))
    expect(choose(model, 'int8')).toEqual(int8('static', 'asked for int8'))
    const last = { ...conv('x', 'y', 64, 8), inputs: { x: [1, 64, 8, 8] }, outputs: ['y'] }
    expect(choose(modelOfNet(last, 13))).toEqual(float('its output is an output of the model'))
    expect(choose(modelOfNet(last, 13), 'int8').kernel).toBe('int8')
  })
})

describe('what is impossible', () => {
  const model = convs(64, [3, 3])
  const reasonOf = (changed: ModelProto, changes: Parameters<typeof choose>[2] = {}) => {
    const { kernel, ranges, reason } = choose(changed, 'int8', changes)
    expect([kernel, ranges]).toEqual(['float', null])
    expect(choose(changed, 'auto', changes)).toEqual(float(reason.replace('asked for int8, but ', '')))
    return reason
  }
  const own = (nodes: NodeProto[], constants: TensorProto[], opset = 13) =>
    b.model([...nodes, b.node('Neg', ['c'], ['y'])], constants, ['x'], ['y'], { opset })

  it('by the form of the weight', () => {
    expect(reasonOf(model, { levels: 256 })).toMatch(/256 levels do not fit into int8/)
    expect(reasonOf(model, { levels: 130 })).toMatch(/130 levels/)
    expect(choose(model, 'int8', { levels: 255 }).kernel).toBe('int8')
    expect(choose(model, 'int8', { levels: 128 }).kernel).toBe('int8')
    expect(reasonOf(model, { blockSize: 64 })).toMatch(/blocks of 64 inputs/)
    expect(reasonOf(model, { format: 'float' })).toMatch(/format float has no integer kernel/)
    expect(reasonOf(model, { format: 'nbits' })).toMatch(/format nbits/)
    expect(choose(model, 'float')).toEqual(float('asked for float'))
  })

  it('by the opset', () => {
    expect(reasonOf(modelOfNet(net([conv('x', 'c', 64, 8)], 'c'), 12))).toBe(
      'asked for int8, but integers need opset 13, and opset 12 is too old to raise',
    )
    expect(choose(matmuls(384, [2, 6], 11)).ranges).toBe('dynamic')
    expect(reasonOf(matmuls(384, [2, 6], 10))).toMatch(/need opset 11/)
  })

  it('by the nodes', () => {
    const w = b.noisy('w', [8, 64, 3, 3], 1)
    const half = b.node('Cast', ['h'], ['x16'], { to: b.DataType.FLOAT16 })
    const w16 = b.node('Cast', ['w'], ['w16'], { to: b.DataType.FLOAT16 })
    expect(
      reasonOf(
        b.model(
          [half, w16, b.node('Conv', ['x16', 'w16'], ['y'])],
          [w],
          ['h'],
          [b.value('y', b.DataType.FLOAT16)],
        ),
      ),
    ).toMatch(/computes in float16/)
    expect(
      reasonOf(
        own(
          [b.node('ReduceMean', ['x'], ['bias'], { keepdims: 0 }), b.node('Conv', ['x', 'w', 'bias'], ['c'])],
          [w],
        ),
      ),
    ).toMatch(/its bias is not one constant per neuron/)
    expect(
      reasonOf(own([b.node('Gemm', ['x', 'w'], ['c'], { transA: 1 })], [b.noisy('w', [64, 8], 1)])),
    ).toMatch(/its samples are columns/)
    expect(reasonOf(own([b.node('MatMul', ['x', 'w'], ['c'])], [b.noisy('w', [1, 64, 8], 1)]))).toMatch(
      /its weight \[1,64,8\] is not a plain matrix/,
    )
    expect(
      reasonOf(
        own(
          [b.node('MatMul', ['x', 'w'], ['m']), b.node('Gemm', ['m', 'w'], ['c'])],
          [b.noisy('w', [64, 64], 1)],
        ),
      ),
    ).toMatch(/different ways/)
    expect(
      reasonOf(
        own([b.node('Gemm', ['x', 'w'], ['c'], { alpha: { float: -1 } })], [b.noisy('w', [64, 8], 1)]),
      ),
    ).toMatch(/alpha/)
  })

  it('by a subgraph that reads the same input of the model', () => {
    const body = b.graph([b.node('Relu', ['x'], ['inner'])], [], [], ['inner'])
    const nodes = [
      b.node('Conv', ['x', 'w'], ['c']),
      b.node('If', ['yes'], ['z'], { then_branch: body, else_branch: body }),
    ]
    const constants = [
      b.noisy('w', [8, 64, 3, 3], 1),
      Object.assign(b.floats('yes', [], [0]), { dataType: b.DataType.BOOL, rawData: Uint8Array.of(1) }),
    ]
    const captured = b.model([...nodes, b.node('Neg', ['c'], ['y'])], constants, ['x'], ['y', 'z'])
    expect(reasonOf(captured)).toMatch(/a subgraph reads the model's input 'x' too/)
  })
})
