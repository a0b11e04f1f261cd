/**
 * Models to write with quantized weights: every op once per number of levels and scaling side by side, and layers of any model
 * with random codes; what ONNX Runtime makes of them.
 */
import type { ModelProto, NodeProto, TensorProto } from 'onnx-buf'
import { expect } from 'vitest'
import { formatsFor } from '#src/onnx/formats/choose.js'
import { indexGraph } from '#src/onnx/graph.js'
import { findLayers } from '#src/onnx/layers.js'
import { encodeModel } from '#src/onnx/model.js'
import type { QuantizedEntry } from '#src/onnx/writeQuantized.js'
import type { Format, QuantizedWeight } from '../../src/onnx/layer.js'
import * as b from './build.js'
import { CASES, type Case, randomQuantized } from './cases.js'

const LEVELS = [2, 3, 4, 7, 15, 16, 31, 127, 255, 256]
const SCALINGS = [
  { name: 'layer', block: 1000, equal: true },
  { name: 'neuron', block: 1000, equal: false },
  { name: 'block16', block: 16, equal: false },
  { name: 'block5', block: 5, equal: false },
]

export interface Variant {
  readonly y: string
  readonly case: Case
  readonly quantized: QuantizedWeight
}

/** A model in which every case stands once per number of levels and scaling, side by side. */
export function everyVariant(): Variant[] {
  return Object.entries(CASES).flatMap(([op, entry], i) =>
    LEVELS.flatMap((levels) =>
      SCALINGS.map(({ name, block, equal }) => ({
        y: `${op}_${levels}_${name}`,
        case: entry,
        quantized: randomQuantized(entry, levels, block, equal, 31 * levels + i),
      })),
    ),
  )
}

export function modelOf(
  variants: readonly Variant[],
  opset: number,
  weights: (v: Variant) => Float32Array,
  irVersion = 8,
): ModelProto {
  const nodes: NodeProto[] = []
  const constants: TensorProto[] = []
  for (const variant of variants) {
    const op = variant.y.split('_')[0] as string
    const made = variant.case.nodes(`x_${op}`, `${variant.y}_w`, variant.y)
    nodes.push(...made.nodes)
    constants.push(b.floats(`${variant.y}_w`, [...variant.case.dims], weights(variant)), ...made.constants)
  }
  const ops = [...new Set(variants.map(({ y }) => y.split('_')[0] as string))]
  return b.model(
    nodes,
    constants,
    ops.map((op) => `x_${op}`),
    variants.map(({ y }) => y),
    { opset, irVersion },
  )
}

export function feedsOf(variants: readonly Variant[]): Record<string, b.ort.Tensor> {
  return Object.fromEntries(
    variants.map(({ y, case: { x } }) => [
      `x_${y.split('_')[0]}`,
      b.tensor(
        [...x],
        b.noise(
          x.reduce((p, d) => p * d, 1),
          99,
        ),
      ),
    ]),
  )
}

export function entriesOf(model: ModelProto, variants: readonly Variant[], format: Format): QuantizedEntry[] {
  const graph = indexGraph(model)
  const { layers, skipped } = findLayers(graph)
  expect(skipped).toEqual([])
  return variants.flatMap((variant) => {
    const layer = layers.find(({ name }) => name === variant.y)!
    const { levels, blockSize } = variant.quantized
    const possible = formatsFor(graph, layer, levels, blockSize).find((f) => f.format === format)?.possible
    return possible ? [{ layer, quantized: variant.quantized, format }] : []
  })
}

export const FORMATS = ['float', 'packed', 'qdq', 'nbits'] as const
export const x33 = () => ({ x: b.tensor([4, 33], b.noise(132, 8)) })
export const shape = { groups: 1, inputs: 33, neurons: 33 }

/** The entries of all layers that can take the format, with random codes of `levels` values. */
export function randomEntries(
  model: ModelProto,
  format: Format,
  levels: number,
  block = 1000,
): QuantizedEntry[] {
  const graph = indexGraph(model)
  return findLayers(graph).layers.flatMap((layer, i) => {
    const quantized = randomQuantized(layer, levels, block, false, 100 + i)
    const option = formatsFor(graph, layer, levels, quantized.blockSize).find((f) => f.format === format)
    return option?.possible ? [{ layer, quantized, format }] : []
  })
}

export async function outputsOf(
  model: ModelProto,
  feeds: Record<string, b.ort.Tensor>,
): Promise<Record<string, Float32Array>> {
  const out = await b.run(encodeModel(model), feeds)
  return Object.fromEntries(Object.entries(out).map(([name, { data }]) => [name, data as Float32Array]))
}

export function expectClose(
  got: Record<string, Float32Array>,
  expected: Record<string, Float32Array>,
  tolerance = 1e-5,
): void {
  expect(Object.keys(got)).toEqual(Object.keys(expected))
  for (const [name, values] of Object.entries(expected))
    expect(b.relativeDifference(got[name]!, values), name).toBeLessThan(tolerance)
}
