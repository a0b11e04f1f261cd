/** Who reads a weight beside the layers: a node, or whoever fetches an output. Its float values must then stay. */
import type { GraphIndex } from './graph.js'
import type { WeightView } from './weightView.js'

/**
 * Finds such a reader, as text for people; undefined if there is none. All tensors together take time linear in the graph.
 * @param views of the layers: what they read as their weight does not count
 */
export function readersBeside(
  graph: GraphIndex,
  views: readonly WeightView[],
): (tensor: string) => string | undefined {
  const weights = new Map<number, string[]>() // by node, one entry for each operand that is a weight
  for (const { node, tensor } of views) {
    const own = weights.get(node)
    if (own === undefined) weights.set(node, [tensor])
    else own.push(tensor)
  }
  /** Whether a node reads the tensor as its weight and in no other way. */
  const readsAsWeight = (node: number, tensor: string): boolean => {
    const count = (names: readonly string[]): number => names.filter((name) => name === tensor).length
    const own = weights.get(node)
    return own !== undefined && count(own) === count(graph.nodes[node]!.input)
  }
  // Constant nodes between a weight and the layers are dropped from the written model: only their readers count.
  // Readers come after what they read in `graph.order`, so one pass backwards knows all of them.
  const behind = new Map<number, string | undefined>()
  const readerOf = (tensor: string): string | undefined => {
    if (graph.isOutput(tensor)) return 'an output of the model'
    for (const node of graph.consumers(tensor)) {
      if (readsAsWeight(node, tensor)) continue
      const reader = graph.isConstantNode(node) ? behind.get(node) : `node '${graph.names[node]}'`
      if (reader !== undefined) return reader
    }
    return undefined
  }
  for (const node of graph.order.toReversed())
    if (graph.isConstantNode(node)) behind.set(node, firstOf(graph.nodes[node]!.output, readerOf))
  return readerOf
}

function firstOf<T>(tensors: readonly string[], find: (tensor: string) => T | undefined): T | undefined {
  for (const tensor of tensors) {
    const found = find(tensor)
    if (found !== undefined) return found
  }
  return undefined
}
