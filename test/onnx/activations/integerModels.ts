/** Networks written on integers: codes, ranges and plan, for tests. */
import type { ModelProto } from 'onnx-buf'
import { chooseKernel } from '#src/onnx/activations/chooseKernel.js'
import { planIntegers } from '#src/onnx/activations/planIntegers.js'
import { quantizerOver } from '#src/onnx/activations/quantizer.js'
import { indexGraph } from '#src/onnx/graph.js'
import { findLayers } from '#src/onnx/layers.js'
import { type QuantizedEntry, writeQuantized } from '#src/onnx/writeQuantized.js'
import type { Integers, RangeKind } from '../../../src/onnx/activations/integers.js'
import type { ActivationQuantizer } from '../../../src/onnx/activations/quantizer.js'
import type { Format, Layer, QuantizedWeight } from '../../../src/onnx/layer.js'
import type * as b from '../build.js'
import { randomQuantized } from '../cases.js'
import { evaluate, type Values } from './simulate.js'

export interface IntegerModel {
  readonly written: ModelProto
  readonly bytes: ReadonlyMap<string, number>
  /** The same weights as floats, without quantized activations. */
  readonly floats: ModelProto
  readonly entries: readonly QuantizedEntry[]
  readonly integers: Integers
  /** Nodes of all layers on integers, sorted, and of those with dynamic ranges. */
  readonly integerNodes: readonly string[]
  readonly dynamicNodes: readonly string[]
}

interface WriteOptions {
  readonly levels?: number
  readonly format?: Format
  /** Layers that stay float. */
  readonly float?: readonly string[]
  /** One scale for each layer. */
  readonly equal?: boolean
  readonly change?: (quantized: QuantizedWeight, layer: Layer) => QuantizedWeight
  readonly corrections?: ReadonlyMap<string, Float32Array>
  readonly range?: (values: Values, tensor: string) => ActivationQuantizer
}

/** Writes all layers that can run on integers so, with random codes and the ranges of one run of the float model. */
export function writeOnIntegers(
  model: ModelProto,
  feeds: Readonly<Record<string, Values>>,
  {
    levels = 15,
    format = 'packed',
    float = [],
    equal = false,
    change = (quantized) => quantized,
    corrections = new Map(),
    range = rangeOf,
  }: WriteOptions = {},
): IntegerModel {
  const graph = indexGraph(model)
  const entries = findLayers(graph).layers.map(
    (layer, i): QuantizedEntry => ({
      layer,
      quantized: change(randomQuantized(layer, levels, layer.inputs, equal, 50 + i), layer),
      format,
    }),
  )
  const chosen = new Map<Layer, RangeKind>()
  for (const { layer, quantized } of entries) {
    if (float.includes(layer.name)) continue
    const { ranges, reason } = chooseKernel(
      graph,
      layer,
      { levels, blockSize: quantized.blockSize, format },
      'int8',
    )
    if (ranges === null) throw new Error(`${layer.name}: ${reason}`)
    chosen.set(layer, ranges)
  }
  const plan = planIntegers(graph, chosen)
  const floats = writeQuantized(
    model,
    entries.map((entry) => ({ ...entry, format: 'float' })),
    corrections,
  ).model
  const values = evaluate(floats, feeds)
  const quantizers = new Map(
    plan.tensors.map((tensor): [string, ActivationQuantizer] => [tensor, range(values.get(tensor)!, tensor)]),
  )
  const integers = { plan, quantizers }
  const { model: written, bytes } = writeQuantized(model, entries, corrections, '', integers)
  const nodesOf = (kinds: readonly RangeKind[]) =>
    [...chosen]
      .flatMap(([{ uses }, kind]) => (kinds.includes(kind) ? uses.map(({ node }) => node) : []))
      .sort()
  return {
    ...{ written, bytes, floats, entries, integers },
    integerNodes: nodesOf(['static', 'dynamic']),
    dynamicNodes: nodesOf(['dynamic']),
  }
}

function rangeOf({ data }: Values): ActivationQuantizer {
  return quantizerOver(Math.fround(Math.min(...data)), Math.fround(Math.max(...data)))
}

export const valuesOfFeeds = (feeds: Record<string, b.ort.Tensor>): Record<string, Values> =>
  Object.fromEntries(
    Object.entries(feeds).map(([name, { dims, data }]) => [
      name,
      { dims, data: Float64Array.from(data as Float32Array) },
    ]),
  )
