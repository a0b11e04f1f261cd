/**
 * Bias correction inside the calibration streams. After a layer is quantized, the mean difference of its outputs is added
 * to its bias in the model that computes the quantized stream, so that later layers are calibrated on corrected inputs.
 */
import type { ModelProto } from 'onnx-buf'
import { addToBias } from './bias.js'
import { GraphEdit } from './edit.js'
import { indexGraph } from './graph.js'
import type { Layer } from './layer.js'
import { viewsOf } from './layers.js'
import { graphOf, shallowCopy } from './model.js'

/** The model with a unique name in every node, so that names stay the same when an Add is inserted. */
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

/**
 * The model with a correction added to the outputs of all nodes of a layer.
 * @param correction (groups·neurons)
 */
export function correctBiases(model: ModelProto, layer: Layer, correction: Float32Array): ModelProto {
  const graph = indexGraph(model)
  const edit = new GraphEdit(graph)
  for (const view of viewsOf(graph, layer)) addToBias(edit, view, correction)
  return edit.finish()
}
