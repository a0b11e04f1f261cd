/**
 * One node of every kind that is a layer, written by hand: the layout of its weight, its inputs and its outputs. Each
 * case states its canonical order (`at`); it is not taken from the code under test.
 */
import type { NodeProto, TensorProto } from 'onnx-buf'
import type { QuantizedWeight } from '../../src/onnx/layer.js'
import * as b from './build.js'

export interface Case {
  readonly groups: number
  readonly inputs: number
  readonly neurons: number
  readonly dims: readonly number[]
  /** Flat index in `dims` of canonical (group, input, neuron). */
  readonly at: (g: number, t: number, n: number) => number
  readonly x: readonly number[]
  readonly sampling: string
  /** MatMulNBits can take its place. */
  readonly nbits: boolean
  /** Nodes from `x` and weight `w` to `y`; the layer's node is named `y`. */
  readonly nodes: (x: string, w: string, y: string) => { nodes: NodeProto[]; constants: TensorProto[] }
}

const named = (node: NodeProto, name: string): NodeProto => Object.assign(node, { name })
const matrix = { groups: 1, inputs: 33, neurons: 6 }
const conv = (
  groups: number,
  inputs: number,
  neurons: number,
  dims: number[],
  x: number[],
  attributes: Record<string, number | string | number[]>,
): Case => ({
  groups,
  inputs,
  neurons,
  dims,
  at: (g, t, n) => (g * neurons + n) * inputs + t,
  x,
  sampling: 'patches',
  nbits: false,
  nodes: (input, w, y) => ({
    nodes: [named(b.node('Conv', [input, w], [y], { group: groups, ...attributes }), y)],
    constants: [],
  }),
})
const gemm = (transA: 0 | 1, transB: 0 | 1, alpha = 0.5, beta = 2): Case => ({
  ...matrix,
  dims: transB ? [6, 33] : [33, 6],
  at: (_, t, n) => (transB ? n * 33 + t : t * 6 + n),
  x: transA ? [33, 4] : [4, 33],
  sampling: transA ? 'columns' : 'rows',
  nbits: transA === 0,
  nodes: (x, w, y) => ({
    nodes: [
      named(
        b.node('Gemm', [x, w, `${y}_c`], [y], {
          transA,
          transB,
          alpha: { float: alpha },
          beta: { float: beta },
        }),
        y,
      ),
    ],
    constants: [b.floats(`${y}_c`, [6], b.noise(6, 5))],
  }),
})
const matmul = (extra: Partial<Case>): Case => ({
  ...matrix,
  dims: [33, 6],
  at: (_, t, n) => t * 6 + n,
  x: [2, 3, 33],
  sampling: 'rows',
  nbits: true,
  nodes: (x, w, y) => ({ nodes: [named(b.node('MatMul', [x, w], [y]), y)], constants: [] }),
  ...extra,
})

export const CASES: Readonly<Record<string, Case>> = {
  conv2d: conv(1, 12, 5, [5, 3, 2, 2], [2, 3, 5, 6], { strides: [2, 1], pads: [0, 1, 1, 0] }),
  conv2dGrouped: conv(2, 8, 3, [6, 2, 2, 2], [1, 4, 5, 5], { dilations: [2, 1] }),
  conv2dDepthwise: conv(4, 9, 1, [4, 1, 3, 3], [1, 4, 5, 5], { auto_pad: 'SAME_UPPER', strides: [2, 2] }),
  conv1d: conv(1, 9, 4, [4, 3, 3], [2, 3, 7], { pads: [2, 1], dilations: [2] }),
  gemm: gemm(0, 0),
  gemmPlain: gemm(0, 0, 1, 1),
  gemmTransB: gemm(0, 1),
  gemmTransA: gemm(1, 0),
  gemmTransBoth: gemm(1, 1),
  matmul: matmul({}),
  matmulEven: matmul({ inputs: 32, neurons: 8, dims: [32, 8], at: (_, t, n) => t * 8 + n, x: [3, 32] }),
  matmulLeft: matmul({
    dims: [6, 33],
    at: (_, t, n) => n * 33 + t,
    x: [2, 33, 4],
    sampling: 'columns',
    nbits: false,
    nodes: (x, w, y) => ({ nodes: [named(b.node('MatMul', [w, x], [y]), y)], constants: [] }),
  }),
  matmulLeadingOnes: matmul({ dims: [1, 1, 33, 6], nbits: false }),
  matmulBehindTranspose: matmul({
    dims: [6, 33],
    at: (_, t, n) => n * 33 + t,
    nodes: (x, w, y) => ({
      nodes: [
        b.node('Transpose', [w], [`${y}_t`], { perm: [1, 0] }),
        b.node('Identity', [`${y}_t`], [`${y}_i`]),
        named(b.node('MatMul', [x, `${y}_i`], [y]), y),
      ],
      constants: [],
    }),
  }),
  matmulBehindReshape: matmul({
    dims: [3, 11, 6],
    nodes: (x, w, y) => ({
      nodes: [
        b.node('Reshape', [w, `${y}_s`], [`${y}_r`]),
        b.node('Cast', [`${y}_r`], [`${y}_f`], { to: b.DataType.FLOAT }),
        named(b.node('MatMul', [x, `${y}_f`], [y]), y),
      ],
      constants: [b.ints(`${y}_s`, [2], [-1, 6])],
    }),
  }),
  matmulBehindFlatten: matmul({
    dims: [3, 11, 6],
    nodes: (x, w, y) => ({
      nodes: [
        b.node('Flatten', [w], [`${y}_f`], { axis: 2 }),
        b.node('Flatten', [`${y}_f`], [`${y}_g`]),
        named(b.node('MatMul', [x, `${y}_g`], [y]), y),
      ],
      constants: [],
    }),
  }),
}

/** Canonical (groups, inputs, neurons) values in the order of `dims`. */
export function stored({ groups, inputs, neurons, at }: Case, canonical: ArrayLike<number>): Float32Array {
  const values = new Float32Array(groups * inputs * neurons)
  let i = 0
  for (let g = 0; g < groups; g++)
    for (let t = 0; t < inputs; t++)
      for (let n = 0; n < neurons; n++) values[at(g, t, n)] = canonical[i++] as number
  return values
}

/** Random codes and scales for a case; `block` inputs share a scale, `equal` gives all of them the same one. */
export function randomQuantized(
  { groups, inputs, neurons }: Pick<Case, 'groups' | 'inputs' | 'neurons'>,
  levels: number,
  block: number,
  equal: boolean,
  seed: number,
): QuantizedWeight {
  const random = b.noise(groups * inputs * neurons, seed)
  const blockSize = Math.min(block, inputs)
  const scales = b.noise(groups * Math.ceil(inputs / blockSize) * neurons, seed + 1)
  return {
    levels,
    codes: Uint8Array.from(random, (v) => Math.min(levels - 1, Math.floor(((v + 1) / 2) * levels))),
    scales: scales.map((v) => (equal ? 0.37 : 0.5 + v / 4) / levels),
    blockSize,
    zero: (levels - 1) / 2,
  }
}

/** value = scale · (code − zero) of a canonical index, in plain sight. */
export function valuesOf(
  { groups, inputs, neurons }: Pick<Case, 'groups' | 'inputs' | 'neurons'>,
  { codes, scales, blockSize, zero }: QuantizedWeight,
): Float32Array {
  const blocks = Math.ceil(inputs / blockSize)
  return Float32Array.from({ length: groups * inputs * neurons }, (_, i) => {
    const n = i % neurons
    const t = Math.floor(i / neurons) % inputs
    const g = Math.floor(i / (neurons * inputs))
    return (
      (scales[(g * blocks + Math.floor(t / blockSize)) * neurons + n] as number) *
      ((codes[i] as number) - zero)
    )
  })
}
