/**
 * A graph of a few operators in float64, written for readers: the reference for models on integers. Tensors with a quantizer
 * are rounded where they are made, inputs of dynamic layers where they are read.
 */
import type { ModelProto, NodeProto } from 'onnx-buf'
import { readFloats, readInts } from '#src/onnx/tensor.js'
import type { ActivationQuantizer } from '../../../src/onnx/activations/quantizer.js'
import * as b from '../build.js'

export interface Values {
  readonly dims: readonly number[]
  readonly data: Float64Array
}

export interface Rounding {
  readonly quantizers: ReadonlyMap<string, ActivationQuantizer>
  /** Nodes whose first input is rounded by its own range. */
  readonly dynamic: ReadonlySet<string>
}

/** All tensors that the graph's nodes make, by name. */
export function evaluate(
  model: ModelProto,
  feeds: Readonly<Record<string, Values>>,
  { quantizers, dynamic }: Rounding = { quantizers: new Map(), dynamic: new Set() },
): Map<string, Values> {
  const graph = model.graph!
  const values = new Map<string, Values>()
  const put = (name: string, value: Values) => {
    const quantizer = quantizers.get(name)
    values.set(name, quantizer === undefined ? value : round(value, quantizer))
  }
  for (const tensor of graph.initializer) {
    const numbers = tensor.dataType === b.DataType.INT64 ? readInts(tensor) : readFloats(tensor)
    put(tensor.name, { dims: tensor.dims.map(Number), data: Float64Array.from(numbers) })
  }
  for (const [name, value] of Object.entries(feeds)) put(name, value)
  for (const node of graph.node) {
    const inputs = node.input.map((name) => values.get(name))
    if (dynamic.has(node.name)) inputs[0] = round(inputs[0]!, spanning(inputs[0]!))
    compute(node, inputs).forEach((value, i) => {
      put(node.output[i]!, value)
    })
  }
  return values
}

export function round({ dims, data }: Values, { scale, zeroPoint }: ActivationQuantizer): Values {
  const nearest = (x: number) => (Math.abs(x % 1) === 0.5 ? 2 * Math.round(x / 2) : Math.round(x))
  return {
    dims,
    data: data.map((x) => scale * (Math.min(255, Math.max(0, nearest(x / scale) + zeroPoint)) - zeroPoint)),
  }
}

function spanning({ data }: Values): ActivationQuantizer {
  const [low, high] = [Math.min(0, ...data), Math.max(0, ...data)]
  const scale = Math.fround((high - low) / 255)
  return { scale, zeroPoint: Math.round(-low / scale) }
}

type Operator = (inputs: readonly Values[], node: NodeProto) => readonly Values[]

function compute(node: NodeProto, inputs: readonly (Values | undefined)[]): readonly Values[] {
  const operator = OPERATORS[node.opType]
  if (operator === undefined) throw new Error(`no reference for ${node.opType}`)
  return operator(inputs as Values[], node)
}

const attributeInts = (node: NodeProto, name: string, fallback: number[]): number[] =>
  node.attribute.find((attribute) => attribute.name === name)?.ints.map(Number) ?? fallback
const attributeInt = (node: NodeProto, name: string, fallback: number): number =>
  Number(node.attribute.find((attribute) => attribute.name === name)?.i ?? fallback)
const attributeFloat = (node: NodeProto, name: string, fallback: number): number =>
  node.attribute.find((attribute) => attribute.name === name)?.f ?? fallback
const size = (dims: readonly number[]): number => dims.reduce((product, dim) => product * dim, 1)

/** The index of each axis at a flat position. */
function indicesAt(position: number, dims: readonly number[]): number[] {
  const indices: number[] = []
  let rest = position
  for (const dim of dims.toReversed()) {
    indices.unshift(rest % dim)
    rest = Math.floor(rest / dim)
  }
  return indices
}

/** A tensor whose value at each index is computed; `null` indices of `at` are zeros. */
const make = (dims: readonly number[], value: (indices: number[]) => number): Values => ({
  dims,
  data: Float64Array.from({ length: size(dims) }, (_, i) => value(indicesAt(i, dims))),
})

/** The value at an index, 0 outside. Missing leading axes and axes of length 1 are broadcast. */
function at({ dims, data }: Values, indices: readonly number[]): number {
  let flat = 0
  const skipped = indices.length - dims.length
  for (let axis = 0; axis < dims.length; axis++) {
    const index = dims[axis] === 1 && indices[axis + skipped]! > 0 ? 0 : indices[axis + skipped]!
    if (index < 0 || index >= dims[axis]!) return 0
    flat = flat * dims[axis]! + index
  }
  return data[flat]!
}

const elementwise =
  (of: (a: number, b: number, node: NodeProto) => number): Operator =>
  ([a, c], node) => {
    const dims = c !== undefined && c.dims.length > a!.dims.length ? c.dims : a!.dims
    return [make(dims, (i) => of(at(a!, i), c === undefined ? 0 : at(c, i), node))]
  }

const conv: Operator = ([x, w, bias], node) => {
  const spatial = w!.dims.length - 2
  const [pads, kernel] = [
    attributeInts(node, 'pads', new Array<number>(2 * spatial).fill(0)),
    w!.dims.slice(2),
  ]
  const groups = attributeInt(node, 'group', 1)
  const out = kernel.map((length, a) => x!.dims[a + 2]! + pads[a]! + pads[a + spatial]! - length + 1)
  return [
    make([x!.dims[0]!, w!.dims[0]!, ...out], ([n, o, ...place]) => {
      let sum = bias === undefined ? 0 : bias.data[o!]!
      for (let t = 0; t < size(w!.dims.slice(1)); t++) {
        const [c, ...tap] = indicesAt(t, w!.dims.slice(1))
        const from = tap.map((k, a) => place[a]! + k - pads[a]!)
        const channel = Math.floor(o! / (w!.dims[0]! / groups)) * w!.dims[1]! + c!
        if (from.every((index, a) => index >= 0 && index < x!.dims[a + 2]!))
          sum += at(x!, [n!, channel, ...from]) * w!.data[o! * size(w!.dims.slice(1)) + t]!
      }
      return sum
    }),
  ]
}

const matmul: Operator = ([a, c]) => [
  make([...a!.dims.slice(0, -1), c!.dims.at(-1)!], (i) => {
    let sum = 0
    const batch = i.slice(0, -2)
    for (let k = 0; k < a!.dims.at(-1)!; k++)
      sum += at(a!, [...i.slice(0, -1), k]) * at(c!, [...batch, k, i.at(-1)!].slice(-c!.dims.length))
    return sum
  }),
]

const gemm: Operator = ([a, w, c], node) => {
  const transposed = attributeInt(node, 'transB', 0) === 1
  const [alpha, beta] = [attributeFloat(node, 'alpha', 1), attributeFloat(node, 'beta', 1)]
  const inputs = a!.dims[1]!
  return [
    make([a!.dims[0]!, w!.dims[transposed ? 0 : 1]!], ([row, n]) => {
      let sum = 0
      for (let k = 0; k < inputs; k++) sum += at(a!, [row!, k]) * at(w!, transposed ? [n!, k] : [k, n!])
      return alpha * sum + (c === undefined ? 0 : beta * at(c, [row!, n!]))
    }),
  ]
}

/** Windows of a pool with kernel and strides of 2. */
const pool =
  (of: (window: number[]) => number): Operator =>
  ([x]) => [
    make([...x!.dims.slice(0, 2), ...x!.dims.slice(2).map((d) => d / 2)], ([n, c, h, w]) =>
      of([0, 1, 2, 3].map((k) => at(x!, [n!, c!, 2 * h! + (k >> 1), 2 * w! + (k & 1)]))),
    ),
  ]
const mean = (numbers: ArrayLike<number>): number =>
  Array.from(numbers).reduce((sum, x) => sum + x, 0) / numbers.length

const OPERATORS: Readonly<Record<string, Operator>> = {
  Conv: conv,
  MatMul: matmul,
  Gemm: gemm,
  Add: elementwise((a, c) => a + c),
  Sub: elementwise((a, c) => a - c),
  Mul: elementwise((a, c) => a * c),
  Relu: elementwise((a) => Math.max(a, 0)),
  Exp: elementwise((a) => Math.exp(a)),
  Neg: elementwise((a) => -a),
  Sigmoid: elementwise((a) => 1 / (1 + Math.exp(-a))),
  Identity: elementwise((a) => a),
  LeakyRelu: elementwise((a, _, node) => (a < 0 ? attributeFloat(node, 'alpha', 0.01) * a : a)),
  Clip: ([x, low, high]) => [
    make(x!.dims, (i) => Math.min(at(high!, []), Math.max(at(low!, []), at(x!, i)))),
  ],
  MaxPool: pool((window) => Math.max(...window)),
  AveragePool: pool(mean),
  GlobalAveragePool: ([x]) => [
    make([...x!.dims.slice(0, 2), ...x!.dims.slice(2).fill(1)], ([n, c]) => {
      const area = size(x!.dims.slice(2))
      return mean(x!.data.subarray((n! * x!.dims[1]! + c!) * area, (n! * x!.dims[1]! + c! + 1) * area))
    }),
  ],
  Dropout: elementwise((a) => a),
  Expand: elementwise((a) => a),
  Tile: ([x, repeats]) => [
    make(
      x!.dims.map((d, axis) => d * repeats!.data[axis]!),
      (i) =>
        at(
          x!,
          i.map((k, axis) => k % x!.dims[axis]!),
        ),
    ),
  ],
  Gather: ([x, channels]) => [
    make(x!.dims.with(1, channels!.data.length), (i) => at(x!, i.with(1, channels!.data[i[1]!]!))),
  ],
  Squeeze: ([x, axis]) => [{ dims: x!.dims.toSpliced(axis!.data[0]!, 1), data: x!.data }],
  Unsqueeze: ([x, axis]) => [{ dims: x!.dims.toSpliced(axis!.data[0]!, 0, 1), data: x!.data }],
  Flatten: ([x]) => [{ dims: [x!.dims[0]!, size(x!.dims.slice(1))], data: x!.data }],
  Reshape: ([x, shape]) => [{ dims: [...shape!.data], data: x!.data }],
  Transpose: ([x], node) => {
    const perm = attributeInts(node, 'perm', [])
    return [
      make(
        perm.map((axis) => x!.dims[axis]!),
        (i) =>
          at(
            x!,
            x!.dims.map((_, axis) => i[perm.indexOf(axis)]!),
          ),
      ),
    ]
  },
  Resize: ([x]) => [
    make(
      x!.dims.map((d, axis) => (axis < 2 ? d : 2 * d)),
      (i) =>
        at(
          x!,
          i.map((k, axis) => (axis < 2 ? k : k >> 1)),
        ),
    ),
  ],
  Slice: ([x, from, to, axis]) => {
    const [start, end, along] = [from!.data[0]!, to!.data[0]!, axis!.data[0]!]
    return [make(x!.dims.with(along, end - start), (i) => at(x!, i.with(along, i[along]! + start)))]
  },
  Pad: ([x, pads]) => {
    const rank = x!.dims.length
    const dims = x!.dims.map((d, axis) => d + pads!.data[axis]! + pads!.data[axis + rank]!)
    return [
      make(dims, (i) =>
        atOrZero(
          x!,
          i.map((k, axis) => k - pads!.data[axis]!),
        ),
      ),
    ]
  },
  DepthToSpace: ([x]) => {
    const [n, c, h, w] = x!.dims as [number, number, number, number]
    return [
      make([n, c / 4, 2 * h, 2 * w], ([image, channel, row, column]) =>
        at(x!, [image!, (2 * (row! % 2) + (column! % 2)) * (c / 4) + channel!, row! >> 1, column! >> 1]),
      ),
    ]
  },
  Concat: (inputs, node) => {
    const axis = attributeInt(node, 'axis', 0)
    const lengths = inputs.map(({ dims }) => dims[axis]!)
    const total = lengths.reduce((a, c) => a + c, 0)
    return [
      make(inputs[0]!.dims.with(axis, total), (i) => {
        let index = i[axis]!
        let which = 0
        while (index >= lengths[which]!) index -= lengths[which++]!
        return at(inputs[which]!, i.with(axis, index))
      }),
    ]
  },
  Split: ([x, parts]) => {
    let start = 0
    return [...parts!.data].map((length) => {
      const from = start
      start += length
      return make(x!.dims.with(1, length), (i) => at(x!, i.with(1, i[1]! + from)))
    })
  },
  Softmax: ([x]) => {
    const rows = x!.data.map((value) => Math.exp(value))
    const length = x!.dims.at(-1)!
    return [
      {
        dims: x!.dims,
        data: rows.map((value, i) => {
          const row = rows.subarray(i - (i % length), i - (i % length) + length)
          return value / row.reduce((a, c) => a + c, 0)
        }),
      },
    ]
  },
}

const atOrZero = (x: Values, indices: readonly number[]): number =>
  indices.every((index, axis) => index >= 0 && index < x.dims[axis]!) ? at(x, indices) : 0
