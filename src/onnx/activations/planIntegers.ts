/**
 * Which tensors are quantized, given the layers that run on integers. A layer with static ranges needs its input and its
 * output quantized, or ONNX Runtime computes it on floats. So that chains of integer kernels do not break between layers,
 * every node with an integer kernel whose inputs are quantized hands on a quantized output too: the Add and Relu of a
 * residual block, Concat, AveragePool. Nodes that only move values keep the quantizer of their input.
 *
 * Outputs of the graph stay as they are, unless an integer layer makes them. Takes time linear in the graph.
 */
import type { GraphIndex } from '../graph.js'
import type { Layer } from '../layer.js'
import { activated, integerInputs, layerResult, movedInput, quantizedSource } from './chains.js'
import type { IntegerPlan, RangeKind } from './integers.js'

/**
 * @param layers those that run on integers, as chooseKernel allows them
 * @param byteInputs whether quantized inputs of the graph are taken as codes
 */
export function planIntegers(
  graph: GraphIndex,
  layers: ReadonlyMap<Layer, RangeKind>,
  byteInputs = false,
): IntegerPlan {
  const wanted = new Set<string>() // tensors that get a range of their own
  const read = new Set<string>() // tensors that integer kernels read
  for (const [{ op, uses }, kind] of layers) {
    if (kind !== 'static') continue
    for (const { input, output } of uses) {
      wanted.add(quantizedSource(graph, input) ?? input)
      wanted.add(layerResult(graph, op, output))
      read.add(input)
    }
  }
  const inputs = graph.inputs.filter((input) => wanted.has(input))
  const tensors = [...inputs]
  const moved = spread(graph, wanted, tensors, read)
  keepRead(graph, moved, read)
  return {
    layers: new Map([...layers].map(([{ name }, kind]) => [name, kind])),
    tensors,
    like: moved,
    byteInputs: new Set(byteInputs ? inputs : []),
  }
}

/**
 * Walks forward. Adds to `wanted` and `tensors` what nodes with integer kernels hand on, and to `read` what they read.
 * @returns outputs of nodes that only move quantized values, and the tensors whose quantizers these have
 */
function spread(
  graph: GraphIndex,
  wanted: Set<string>,
  tensors: string[],
  read: Set<string>,
): Map<string, string> {
  const moved = new Map<string, string>()
  const sources = new Map(tensors.map((tensor): [string, string] => [tensor, tensor])) // quantized so far
  for (const node of graph.order) {
    if (graph.isConstantNode(node)) continue
    const inputs = integerInputs(graph, node)
    if (inputs?.every((input) => sources.has(input))) {
      const result = activated(graph, graph.nodes[node]!.output[0]!)
      if (!graph.isOutput(result)) wanted.add(result)
      if (wanted.has(result)) for (const input of inputs) read.add(input)
    }
    const from = movedInput(graph, node)
    const source = from === undefined ? undefined : sources.get(from)
    for (const output of graph.nodes[node]!.output) {
      if (source !== undefined && output !== '') {
        moved.set(output, source)
        sources.set(output, source)
      } else if (wanted.has(output)) {
        tensors.push(output)
        sources.set(output, output)
      }
    }
  }
  return moved
}

/** Walks backward and drops moved tensors that lead to no integer kernel. */
function keepRead(graph: GraphIndex, moved: Map<string, string>, read: Set<string>): void {
  for (const node of graph.order.toReversed()) {
    const { output } = graph.nodes[node]!
    const from = output.some((tensor) => moved.has(tensor)) ? movedInput(graph, node) : undefined
    if (from === undefined) continue
    if (output.some((tensor) => read.has(tensor))) read.add(from)
    else for (const tensor of output) moved.delete(tensor)
  }
}
