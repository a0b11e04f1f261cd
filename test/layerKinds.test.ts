/**
 * Every way a layer can read its input, through quantizeModel: the codes must be those of the float64 twin on sample
 * rows that are laid out here by hand, as the operator's definition says.
 */
import { beforeAll, describe, expect, it } from 'vitest'
import { createOrtWebRunner } from '#src/calibration/onnxRuntime.js'
import type { Runner } from '#src/calibration/runner.js'
import { quantizeModel } from '#src/model/quantizeModel.js'
import { indexGraph } from '#src/onnx/graph.js'
import { findLayers, readWeights } from '#src/onnx/layers.js'
import { decodeModel, encodeModel } from '#src/onnx/model.js'
import { gpfq } from '#src/reference/gpfq.js'
import { type PatchGeometry, patches } from '#src/reference/patches.js'
import * as b from './onnx/build.js'

const LEVELS = 7
const SCALE = 1 / 3 // radius 1

interface Kind {
  readonly name: string
  readonly node: ReturnType<typeof b.node>
  readonly weightDims: number[]
  readonly inputDims: number[]
  /** Extra nodes between the initializer `w` and the layer's operand. */
  readonly chain?: ReturnType<typeof b.node>[]
  /** Sample rows (rows, inputs) of each group. */
  rows(x: Float32Array): { readonly inputs: number; readonly groups: readonly Float32Array[] }
  /** Weight (inputs, neurons) of a group. */
  weights(w: Float32Array, group: number): Float32Array
}

/** (rows, columns) → (columns, rows) */
function transposed(matrix: Float32Array, rows: number, columns: number): Float32Array {
  return Float32Array.from(
    { length: rows * columns },
    (_, i) => matrix[(i % rows) * columns + Math.floor(i / rows)]!,
  )
}

/** Filters (neurons of all groups, inputs) → (inputs, neurons) of one group. */
const filters = (w: Float32Array, inputs: number, neurons: number, group: number): Float32Array =>
  transposed(w.subarray(group * neurons * inputs, (group + 1) * neurons * inputs), neurons, inputs)

function conv(
  name: string,
  geometry: PatchGeometry,
  neurons: number,
  attributes: Parameters<typeof b.node>[3],
  oneDimensional = false,
): Kind {
  const { batch, channels, height, width, kernel, groups } = geometry
  const perGroup = channels / groups
  const spatial = oneDimensional ? [kernel[1]] : [...kernel]
  return {
    name,
    node: b.node('Conv', ['x', 'w'], ['y'], attributes, 'layer'),
    weightDims: [neurons * groups, perGroup, ...spatial],
    inputDims: [batch, channels, ...(oneDimensional ? [width] : [height, width])],
    rows: (x) => patches(x, geometry),
    weights: (w, group) => filters(w, perGroup * kernel[0] * kernel[1], neurons, group),
  }
}

const dense = (rows: (x: Float32Array) => Float32Array, inputs: number) => (x: Float32Array) => ({
  inputs,
  groups: [rows(x)],
})

const plain = { strides: [1, 1], dilations: [1, 1], pads: [0, 0, 0, 0], groups: 1 } as const
const KINDS: Kind[] = [
  conv(
    '1-D convolution, stride 2, dilated',
    {
      ...plain,
      batch: 3,
      channels: 3,
      height: 1,
      width: 11,
      kernel: [1, 3],
      strides: [1, 2],
      dilations: [1, 2],
      pads: [0, 1, 0, 2],
    },
    4,
    { strides: [2], dilations: [2], pads: [1, 2] },
    true,
  ),
  conv(
    'SAME_UPPER, stride 2: one more row and column at the end',
    {
      ...plain,
      batch: 2,
      channels: 2,
      height: 6,
      width: 7,
      kernel: [3, 3],
      strides: [2, 2],
      pads: [0, 1, 1, 1],
    },
    5,
    { auto_pad: 'SAME_UPPER', strides: [2, 2] },
  ),
  conv(
    'SAME_LOWER, even kernel: the odd row before',
    { ...plain, batch: 2, channels: 2, height: 5, width: 5, kernel: [2, 2], pads: [1, 1, 0, 0] },
    3,
    { auto_pad: 'SAME_LOWER' },
  ),
  conv('VALID', { ...plain, batch: 2, channels: 2, height: 5, width: 6, kernel: [3, 2] }, 3, {
    auto_pad: 'VALID',
  }),
  conv(
    'grouped',
    { ...plain, batch: 2, channels: 6, height: 4, width: 4, kernel: [3, 3], pads: [1, 1, 1, 1], groups: 3 },
    2,
    { group: 3, pads: [1, 1, 1, 1] },
  ),
  conv(
    'depthwise',
    { ...plain, batch: 2, channels: 5, height: 4, width: 4, kernel: [3, 3], pads: [1, 1, 1, 1], groups: 5 },
    1,
    { group: 5, pads: [1, 1, 1, 1] },
  ),
  ...[0, 1].flatMap((transA) =>
    [0, 1].map(
      (transB): Kind => ({
        name: `Gemm, transA ${transA}, transB ${transB}`,
        node: b.node('Gemm', ['x', 'w'], ['y'], { transA, transB }, 'layer'),
        weightDims: transB ? [4, 6] : [6, 4],
        inputDims: transA ? [6, 9] : [9, 6],
        rows: dense((x) => (transA ? transposed(x, 6, 9) : x), 6),
        weights: (w) => (transB ? transposed(w, 4, 6) : w),
      }),
    ),
  ),
  {
    name: 'MatMul of a 4-D input with a constant right operand',
    node: b.node('MatMul', ['x', 'w'], ['y'], {}, 'layer'),
    weightDims: [5, 3],
    inputDims: [2, 2, 3, 5],
    rows: dense((x) => x, 5),
    weights: (w) => w,
  },
  {
    name: 'MatMul with a constant left operand',
    node: b.node('MatMul', ['w', 'x'], ['y'], {}, 'layer'),
    weightDims: [3, 5],
    inputDims: [2, 5, 4],
    rows: dense(
      (x) => Float32Array.from([...transposed(x.subarray(0, 20), 5, 4), ...transposed(x.subarray(20), 5, 4)]),
      5,
    ),
    weights: (w) => transposed(w, 3, 5),
  },
  {
    name: 'MatMul whose weight comes through Transpose and Identity',
    chain: [b.node('Transpose', ['w'], ['t'], { perm: [1, 0] }), b.node('Identity', ['t'], ['i'])],
    node: b.node('MatMul', ['x', 'i'], ['y'], {}, 'layer'),
    weightDims: [3, 5],
    inputDims: [11, 5],
    rows: dense((x) => x, 5),
    weights: (w) => transposed(w, 3, 5),
  },
]

describe('quantizeModel reads the samples of', () => {
  let runner: Runner
  beforeAll(async () => {
    runner = await createOrtWebRunner({ threads: 1 })
  })

  it.each(KINDS)('$name', async ({ node, weightDims, inputDims, chain = [], rows, weights }) => {
    const size = (dims: number[]): number => dims.reduce((product, dim) => product * dim, 1)
    const w = b.noise(size(weightDims), 3)
    const x = b.noise(size(inputDims), 4)
    const model = b.model(
      [...chain, node],
      [b.floats('w', weightDims, w)],
      [b.value('x', b.DataType.FLOAT, inputDims)],
      ['y'],
    )
    const { model: written, report } = await quantizeModel(encodeModel(model), {
      calibration: [{ x: { type: 'float32', dims: inputDims, data: x } }],
      runner,
      threads: 1,
      holdout: 0,
      levels: LEVELS,
      radius: { rule: 'value', value: 1 },
      patches: 0,
      format: 'float',
    })
    const { inputs, groups } = rows(x)
    const graph = indexGraph(decodeModel(written))
    const layer = findLayers(graph).layers[0]!
    const found = readWeights(graph, layer) // (groups, inputs, neurons)
    expect([layer.groups, layer.inputs]).toEqual([groups.length, inputs])
    expect(report.layers[0]!.samples).toBe(groups[0]!.length / inputs)
    groups.forEach((samples, group) => {
      const twin = gpfq({
        weights: weights(w, group),
        samples,
        quantizedSamples: samples,
        rows: samples.length / inputs,
        inputs,
        neurons: layer.neurons,
        levels: LEVELS,
        scales: new Float32Array(layer.neurons).fill(SCALE),
        blockSize: inputs,
        zero: (LEVELS - 1) / 2,
      })
      expect(Math.min(...twin.margins), 'no near tie').toBeGreaterThan(1e-4)
      const count = inputs * layer.neurons
      const codes = Uint8Array.from(found.subarray(group * count, (group + 1) * count), (v) =>
        Math.round(v / SCALE + 3),
      )
      expect(codes).toEqual(twin.codes)
    })
  })
})
