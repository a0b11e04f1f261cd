/** Which tensors are quantized. */
import { describe, expect, it } from 'vitest'
import { planIntegers } from '#src/onnx/activations/planIntegers.js'
import { indexGraph } from '#src/onnx/graph.js'
import { findLayers } from '#src/onnx/layers.js'
import type { RangeKind } from '../../../src/onnx/activations/integers.js'
import * as b from '../build.js'
import { NETS } from './nets.js'
import { conv, modelOfNet, type Net, net } from './parts.js'

function planOf(tested: Net, kind: RangeKind = 'static', float: readonly string[] = []) {
  const graph = indexGraph(modelOfNet(tested, 13))
  const layers = findLayers(graph).layers.filter(({ name }) => !float.includes(name))
  const { tensors, like, layers: named } = planIntegers(graph, new Map(layers.map((layer) => [layer, kind])))
  return { tensors, like: Object.fromEntries(like), layers: [...named.keys()] }
}

describe('planIntegers', () => {
  it('quantizes inputs and outputs of layers, behind their activation', () => {
    expect(planOf(NETS.chain!)).toEqual({
      tensors: ['x', 'r1', 'r2', 'c3'],
      like: {},
      layers: ['c1', 'c2', 'c3'],
    })
  })

  it('closes residual blocks', () => {
    expect(planOf(NETS['residual block']!).tensors).toEqual(['x', 'r0', 'r1', 'c2', 'r2', 'c3'])
  })

  it('gives moved tensors the quantizer of their source', () => {
    expect(planOf(NETS['MaxPool between']!)).toMatchObject({ tensors: ['x', 'r1', 'c2'], like: { m: 'r1' } })
    expect(planOf(NETS['several that only move']!).like).toEqual({ t: 'c1', m: 'c1', t2: 'c1', p: 'c1' })
    expect(planOf(NETS['Split of channels']!).like).toEqual({ m1: 'r1', m2: 'r1' })
  })

  it('quantizes behind a MaxPool that reads floats', () => {
    const tested = NETS['MaxPool behind a float layer']!
    expect(planOf(tested, 'static', tested.float)).toMatchObject({ tensors: ['m', 'c2'], like: {} })
  })

  it('does not mark moved tensors that no integer kernel reads', () => {
    const moved = [
      conv('x', 'c1', 4, 8),
      { nodes: [b.node('MaxPool', ['c1'], ['m'], { kernel_shape: [2, 2] })], constants: [] },
    ]
    expect(planOf(net(moved, 'm'))).toMatchObject({ tensors: ['x', 'c1'], like: {} })
  })

  it('looks through nodes that move a float tensor', () => {
    const reshaped = [
      { nodes: [b.node('Transpose', ['x'], ['t'], { perm: [0, 3, 1, 2] })], constants: [] },
      conv('t', 'c1', 4, 8),
    ]
    const tested = net(reshaped, 'c1', {}, { x: [2, 8, 8, 4] })
    expect(planOf(tested)).toMatchObject({ tensors: ['x', 'c1'], like: { t: 'x' } })
  })

  it('quantizes nothing for dynamic layers', () => {
    expect(planOf(NETS.attention!, 'dynamic')).toEqual({
      tensors: [],
      like: {},
      layers: ['q', 'k', 'v', 'o'],
    })
  })

  it('quantizes the sum behind a static MatMul, where its bias is added', () => {
    expect(planOf(NETS['one MatMul']!).tensors).toEqual(['x', 'l_sum'])
    expect(planOf(NETS['MatMul without bias']!).tensors).toEqual(['x', 'r', 'm2'])
  })

  it('leaves outputs of the graph as they are, unless an integer layer makes them', () => {
    const added = [conv('x', 'c1', 4, 8), conv('x', 'c2', 4, 8)]
    const sum = net(added, 'y0')
    const open = { ...sum, nodes: [...sum.nodes.slice(0, -1), b.node('Add', ['c1', 'c2'], ['y'])] }
    expect(planOf(open).tensors).toEqual(['x', 'c1', 'c2'])
    expect(planOf(NETS['an output of the graph']!).tensors).toEqual(['x', 'y'])
  })

  it('takes time linear in the graph', () => {
    const parts = Array.from({ length: 4000 }, (_, i) =>
      conv(i === 0 ? 'x' : `c${i - 1}`, `c${i}`, 1, 1, [1, 1]),
    )
    expect(planOf(net(parts, 'c3999')).tensors.length).toBe(4001)
  })
})
