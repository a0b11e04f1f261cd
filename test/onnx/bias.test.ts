import type { ModelProto, NodeProto, TensorProto } from 'onnx-buf'
import { describe, expect, it } from 'vitest'
import { addToBias } from '#src/onnx/bias.js'
import { GraphEdit } from '#src/onnx/edit.js'
import { indexGraph } from '#src/onnx/graph.js'
import { findLayers, viewsOf } from '#src/onnx/layers.js'
import { encodeModel } from '#src/onnx/model.js'
import * as b from './build.js'

const CORRECTION = Float32Array.of(1, -2, 3, -4)

function corrected(model: ModelProto): ModelProto {
  const graph = indexGraph(model)
  const edit = new GraphEdit(graph)
  for (const layer of findLayers(graph).layers)
    for (const view of viewsOf(graph, layer)) addToBias(edit, view, CORRECTION)
  return edit.finish()
}

interface Row {
  readonly nodes: NodeProto[]
  readonly constants?: TensorProto[]
  readonly x: number[]
  readonly w: number[]
  readonly inputs?: string[]
  readonly feeds?: Record<string, number[]>
  /** Neuron of a flat output index. */
  readonly neuron: (i: number) => number
  readonly ops: string
}
const last = (i: number) => i % 4
const gemm = (c: string[], attributes: Record<string, number | { float: number }> = {}) => [
  b.node('Gemm', ['x', 'w', ...c], ['y'], attributes),
]
const matrix = { x: [3, 5], w: [5, 4], neuron: last }
const ROWS: Record<string, Row> = {
  'a convolution without bias': {
    nodes: [b.node('Conv', ['x', 'w'], ['y'])],
    x: [2, 3, 3, 3],
    w: [4, 3, 2, 2],
    neuron: (i) => Math.floor(i / 4) % 4,
    ops: 'Conv',
  },
  'a convolution with bias': {
    nodes: [b.node('Conv', ['x', 'w', 'c'], ['y'])],
    constants: [b.floats('c', [4], b.noise(4))],
    x: [2, 3, 3, 3],
    w: [4, 3, 2, 2],
    neuron: (i) => Math.floor(i / 4) % 4,
    ops: 'Conv',
  },
  'a convolution with a computed bias': {
    nodes: [b.node('Conv', ['x', 'w', 'c'], ['y'])],
    inputs: ['c'],
    feeds: { c: [4] },
    x: [2, 3, 3, 3],
    w: [4, 3, 2, 2],
    neuron: (i) => Math.floor(i / 4) % 4,
    ops: 'Conv Add',
  },
  'a 1-D convolution with a computed bias': {
    nodes: [b.node('Conv', ['x', 'w', 'c'], ['y'])],
    inputs: ['c'],
    feeds: { c: [4] },
    x: [2, 3, 4],
    w: [4, 3, 2],
    neuron: (i) => Math.floor(i / 3) % 4,
    ops: 'Conv Add',
  },
  'a Gemm without C': { ...matrix, nodes: gemm([]), ops: 'Gemm' },
  'a Gemm whose C is scaled': {
    ...matrix,
    nodes: gemm(['c'], { beta: { float: 0.5 } }),
    constants: [b.floats('c', [1, 4], b.noise(4))],
    ops: 'Gemm',
  },
  'a Gemm whose C is turned off': {
    ...matrix,
    nodes: gemm(['c'], { beta: { float: 0 } }),
    constants: [b.floats('c', [4], b.noise(4))],
    ops: 'Gemm',
  },
  'a Gemm with a scalar C': {
    ...matrix,
    nodes: gemm(['c']),
    constants: [b.floats('c', [], [7])],
    ops: 'Gemm',
  },
  'a Gemm with a C per sample': {
    ...matrix,
    nodes: gemm(['c']),
    constants: [b.floats('c', [3, 1], b.noise(3))],
    ops: 'Gemm Add',
  },
  'a MatMul alone': { ...matrix, nodes: [b.node('MatMul', ['x', 'w'], ['y'])], ops: 'MatMul Add' },
  'a MatMul with an Add behind it': {
    ...matrix,
    nodes: [b.node('MatMul', ['x', 'w'], ['m']), b.node('Add', ['c', 'm'], ['y'])],
    constants: [b.floats('c', [4], b.noise(4))],
    ops: 'MatMul Add',
  },
  'a MatMul with an Add that is not a bias': {
    ...matrix,
    nodes: [b.node('MatMul', ['x', 'w'], ['m']), b.node('Add', ['m', 'c'], ['y'])],
    constants: [b.floats('c', [3, 1], b.noise(3))],
    ops: 'MatMul Add Add',
  },
  'a MatMul with the weight on the left': {
    nodes: [b.node('MatMul', ['w', 'x'], ['y'])],
    x: [2, 5, 3],
    w: [4, 5],
    neuron: (i) => Math.floor(i / 3) % 4,
    ops: 'MatMul Add',
  },
}

describe('addToBias', () => {
  it.each(Object.entries(ROWS))('adds one value per neuron to %s', async (_, row) => {
    const size = (dims: number[]) => dims.reduce((p, d) => p * d, 1)
    const model = b.model(
      row.nodes,
      [b.floats('w', row.w, b.noise(size(row.w))), ...(row.constants ?? [])],
      ['x', ...(row.inputs ?? [])],
      ['y'],
    )
    const before = encodeModel(model)
    const feeds = { x: b.tensor(row.x, b.noise(size(row.x), 2)) } as Record<string, b.ort.Tensor>
    for (const [name, dims] of Object.entries(row.feeds ?? {}))
      feeds[name] = b.tensor(dims, b.noise(size(dims), 3))
    const plain = (await b.run(before, feeds)).y!.data as Float32Array
    const edited = corrected(model)
    const got = (await b.run(encodeModel(edited), feeds)).y!.data as Float32Array
    expect(
      b.relativeDifference(
        got,
        plain.map((v, i) => v + CORRECTION[row.neuron(i)]!),
      ),
    ).toBeLessThan(1e-5)
    expect(edited.graph!.node.map(({ opType }) => opType).join(' ')).toBe(row.ops)
    expect(encodeModel(model)).toEqual(before)
  })
})
