/** How much of a layer's error survives, against noise that is really added to the layer's output. */
import { describe, expect, it } from 'vitest'
import { ErrorWeights } from '#src/model/precision/errorWeights.js'
import { indexGraph } from '#src/onnx/graph.js'
import { findLayers } from '#src/onnx/layers.js'
import type { Tensor } from '#src/tensor/tensor.js'
import * as b from '../../onnx/build.js'

const WIDTH = 24
const ROWS = 3000

/** y0 = x·w0, z0 = relu y0, y1 = z0·w1, s = z0 + y1, z = relu(s + bias), out = z·w2. */
const weights = [1, 2, 3].map((seed) => b.noise(WIDTH * WIDTH, seed))
const bias = b.noise(WIDTH, 4).map((value) => 0.5 * value - 0.2)
const model = b.model(
  [
    b.node('MatMul', ['x', 'w0'], ['y0']),
    b.node('Relu', ['y0'], ['z0']),
    b.node('MatMul', ['z0', 'w1'], ['y1']),
    b.node('Add', ['z0', 'y1'], ['s']),
    b.node('Add', ['s', 'bias'], ['t']),
    b.node('Relu', ['t'], ['z']),
    b.node('MatMul', ['z', 'w2'], ['out']),
  ],
  [...weights.map((w, i) => b.floats(`w${i}`, [WIDTH, WIDTH], w)), b.floats('bias', [WIDTH], bias)],
  [b.value('x', b.DataType.FLOAT, ['n', WIDTH])],
  ['out'],
)

const times = (x: Float64Array, w: Float32Array): Float64Array =>
  Float64Array.from({ length: x.length }, (_, i) => {
    const row = WIDTH * Math.floor(i / WIDTH)
    let sum = 0
    for (let t = 0; t < WIDTH; t++) sum += x[row + t]! * w[t * WIDTH + (i % WIDTH)]!
    return sum
  })
const plus = (x: Float64Array, y: ArrayLike<number>): Float64Array => x.map((v, i) => v + y[i % y.length]!)
const relu = (x: Float64Array): Float64Array => x.map((v) => Math.max(0, v))
const energy = (x: Float64Array): number => x.reduce((sum, v) => sum + v * v, 0)
const noiseFor = (x: Float64Array): Float64Array => {
  const noise = Float64Array.from(b.noise(x.length, 9))
  const scale = 0.02 * Math.sqrt(energy(x) / energy(noise))
  return noise.map((v) => v * scale)
}
/** ‖after − before‖² / ‖before‖². */
const relative = (before: Float64Array, after: Float64Array): number =>
  energy(after.map((v, i) => v - before[i]!)) / energy(before)

describe('ErrorWeights', () => {
  const y0 = times(Float64Array.from(b.noise(ROWS * WIDTH, 5)), weights[0]!)
  const z0 = relu(y0)
  const y1 = times(z0, weights[1]!)
  const s = plus(z0, y1)
  const t = plus(s, bias)
  const z = relu(t)
  const graph = indexGraph(model)
  const { layers } = findLayers(graph)
  const errorWeights = new ErrorWeights(graph)
  const tensors: Readonly<Record<string, Float64Array>> = { y0, z0, y1, s, t, z }
  const wanted = errorWeights.wanted(graph.order)
  const cut = (ROWS / 3) * WIDTH
  for (const name of wanted) {
    for (let batch = 0; batch < 3; batch++) {
      const data = Float32Array.from(tensors[name]!.subarray(batch * cut, (batch + 1) * cut))
      errorWeights.add(name, { type: 'float32', dims: [ROWS / 3, WIDTH], data } satisfies Tensor)
    }
  }
  const weightOf = [...errorWeights.weights(layers).values()]

  it('asks for what goes into and comes out of sums and rectifiers', () => {
    expect([...wanted].sort()).toEqual(['s', 't', 'y0', 'y1', 'z', 'z0'])
  })

  it('is what is left of noise at the input of the next layer', () => {
    const left = relative(z, relu(plus(plus(z0, plus(y1, noiseFor(y1))), bias)))
    expect(weightOf[1]! / (left / relative(y1, plus(y1, noiseFor(y1))))).toBeCloseTo(1, 1)
    const rectified = relative(z0, relu(plus(y0, noiseFor(y0)))) / relative(y0, plus(y0, noiseFor(y0)))
    const onward = ((energy(z0) + energy(y1)) / energy(s)) * (energy(s) / energy(t))
    expect(weightOf[0]! / (rectified * onward)).toBeCloseTo(1, 1)
    expect(weightOf[2]).toBe(1)
  })

  it('does not grow with depth where inputs are multiplied', () => {
    const gates = Array.from({ length: 12 }, (_, i) => [
      b.node('MatMul', [i === 0 ? 'x' : `g${i - 1}`, `w${i}`], [`y${i}`]),
      b.node('Sigmoid', [`y${i}`], [`s${i}`]),
      b.node('Mul', [`y${i}`, `s${i}`], [`g${i}`]),
    ])
    const deep = b.model(
      gates.flat(),
      gates.map((_, i) => b.floats(`w${i}`, [WIDTH, WIDTH], b.noise(WIDTH * WIDTH, i))),
      [b.value('x', b.DataType.FLOAT, ['n', WIDTH])],
      ['g11'],
    )
    const index = indexGraph(deep)
    const all = new ErrorWeights(index).weights(findLayers(index).layers)
    expect(all.size).toBe(12)
    expect(new Set(all.values()).size).toBe(1)
  })
})
