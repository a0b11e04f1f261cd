/**
 * Bias correction inside the calibration streams: after a layer is quantized, the mean difference of its outputs goes
 * into the bias of the model that the quantized stream runs on, so that later layers already see it.
 */

import type { ModelProto } from 'onnx-buf'
import { addToBias } from './bias.js'
import { GraphEdit } from './edit.js'
import { indexGraph } from './graph.js'
import type { Layer, Sampling } from './layer.js'
import { viewsOf } from './layers.js'
import { graphOf, shallowCopy } from './model.js'

/** The model with every node named, so that names still fit when an Add is inserted. */
export function withNodeNames(model: ModelProto): ModelProto {
  const { names } = indexGraph(model)
  const copy = shallowCopy(model)
  const graph = shallowCopy(graphOf(model))
  graph.node = graph.node.map((node, i) => {
    const named = shallowCopy(node)
    named.name = names[i]!
    return named
  })
  copy.graph = graph
  return copy
}

/** The model with `correction` (groups·neurons) added to the outputs of all nodes of a layer. */
export function correctBiases(model: ModelProto, layer: Layer, correction: Float32Array): ModelProto {
  const graph = indexGraph(model)
  const edit = new GraphEdit(graph)
  for (const view of viewsOf(graph, layer)) addToBias(edit, view, correction)
  return edit.finish()
}

/** The axis of a layer's output that counts neurons. Gemm's is the last one whichever way it reads its input. */
export function neuronAxis(op: Layer['op'], sampling: Sampling): number {
  if (sampling.kind === 'patches') return 1
  return op === 'MatMul' && sampling.kind === 'columns' ? -2 : -1
}
