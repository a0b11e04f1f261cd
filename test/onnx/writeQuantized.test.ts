import type { ModelProto, NodeProto, TensorProto } from 'onnx-buf'
import { describe, expect, it } from 'vitest'
import { formatsFor } from '#src/onnx/formats/choose.js'
import { indexGraph } from '#src/onnx/graph.js'
import { findLayers } from '#src/onnx/layers.js'
import { encodeModel } from '#src/onnx/model.js'
import { type QuantizedEntry, writeQuantized } from '#src/onnx/writeQuantized.js'
import type { Format, QuantizedWeight } from '../../src/onnx/layer.js'
import * as b from './build.js'
import { CASES, type Case, randomQuantized, stored, valuesOf } from './cases.js'

const LEVELS = [2, 3, 4, 7, 15, 16, 31, 127, 255, 256]
const SCALINGS = [
  { name: 'layer', block: 1000, equal: true },
  { name: 'neuron', block: 1000, equal: false },
  { name: 'block16', block: 16, equal: false },
  { name: 'block5', block: 5, equal: false },
]

interface Variant {
  readonly y: string
  readonly case: Case
  readonly quantized: QuantizedWeight
}

/** A model in which every case stands once per number of levels and scaling, side by side. */
function everyVariant(): Variant[] {
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

function modelOf(
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

function feedsOf(variants: readonly Variant[]): Record<string, b.ort.Tensor> {
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

function entriesOf(model: ModelProto, variants: readonly Variant[], format: Format): QuantizedEntry[] {
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

describe('writeQuantized', () => {
  const variants = everyVariant()
  for (const opset of [7, 8, 9, 10, 11, 12, 13, 17, 21, 24, 25, 26])
    it(`computes the quantized values in every form, for every op, at opset ${opset}`, async () => {
      const model = modelOf(variants, opset, ({ case: c }) => b.noise(c.groups * c.inputs * c.neurons))
      const reference = modelOf(variants, opset, (v) => stored(v.case, valuesOf(v.case, v.quantized)))
      const feeds = feedsOf(variants)
      const expected = await b.run(encodeModel(reference), feeds)
      const counts = { float: 0, packed: 0, qdq: 0, nbits: 0 }
      for (const format of ['float', 'packed', 'qdq', 'nbits'] as const) {
        const entries = entriesOf(model, variants, format)
        counts[format] = entries.length
        if (entries.length === 0) continue
        const written = writeQuantized(model, entries).model
        const got = await b.run(encodeModel(written), feeds)
        const wrong = entries.flatMap(({ layer: { name } }) => {
          const d = b.relativeDifference(
            got[name]!.data as Float32Array,
            expected[name]!.data as Float32Array,
          )
          return d < 1e-5 ? [] : [`${format} ${name}: ${d}`]
        })
        expect(wrong).toEqual([])
      }
      const all = variants.length
      expect(counts.float).toBe(all)
      expect(counts.packed).toBe(all)
      expect(counts.nbits).toBeGreaterThan(0)
      if (opset < 13) expect(counts.qdq).toBe(0)
      else expect(counts.qdq).toBe(all)
    })
})
