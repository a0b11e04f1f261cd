/**
 * The bodies of If, Loop and Scan nodes: graphs inside a node. A body reads tensors of the graphs around it by their names;
 * the node then counts as a reader of them. Names are looked up in one table of what the bodies at hand define, so the time
 * is linear in the node however deep its bodies nest. The decoder bounds that depth.
 */
import type { AttributeProto, GraphProto, NodeProto } from 'onnx-buf'
import { shallowCopy } from './model.js'

const NONE: readonly string[] = []
const known = new WeakMap<NodeProto, readonly string[]>()

/** Tensors of enclosing graphs that the subgraphs of a node read, each once. */
export function captures(node: NodeProto): readonly string[] {
  if (!hasSubgraphs(node)) return NONE
  let found = known.get(node)
  if (found === undefined) {
    found = freeNames(node)
    known.set(node, found)
  }
  return found
}

/** The bodies of an If, Loop or Scan node. */
export function subgraphs(node: NodeProto): readonly GraphProto[] {
  if (!hasSubgraphs(node)) return []
  return node.attribute.flatMap(({ g, graphs }) => (g === undefined ? graphs : [g, ...graphs]))
}

/** The attributes of a node with other bodies. @param change of each body, in the order of `subgraphs` */
export const withBodies = (
  { attribute }: NodeProto,
  change: (body: GraphProto) => GraphProto,
): AttributeProto[] =>
  attribute.map((old) => {
    if (old.g === undefined && old.graphs.length === 0) return old
    const own = shallowCopy(old)
    if (old.g !== undefined) own.g = change(old.g)
    own.graphs = old.graphs.map(change)
    return own
  })

function hasSubgraphs({ attribute }: NodeProto): boolean {
  return attribute.some(({ g, graphs }) => g !== undefined || graphs.length > 0)
}

function freeNames(node: NodeProto): readonly string[] {
  const free = new Set<string>()
  const bound = new Map<string, number>() // by how many of the bodies around
  const read = (tensor: string) => {
    if (tensor !== '' && (bound.get(tensor) ?? 0) === 0) free.add(tensor)
  }
  const visit = (body: GraphProto) => {
    const own = definedIn(body)
    for (const tensor of own) bound.set(tensor, (bound.get(tensor) ?? 0) + 1)
    for (const inner of body.node) {
      for (const tensor of inner.input) read(tensor)
      for (const nested of subgraphs(inner)) visit(nested)
    }
    for (const { name } of body.output) read(name)
    for (const tensor of own) bound.set(tensor, (bound.get(tensor) ?? 0) - 1)
  }
  for (const body of subgraphs(node)) visit(body)
  return [...free]
}

/** Names that a graph defines; a name can be there twice. */
export function definedIn(
  body: Pick<GraphProto, 'input' | 'initializer' | 'sparseInitializer' | 'node'>,
): readonly string[] {
  return [
    ...body.input.map(({ name }) => name),
    ...body.initializer.map(({ name }) => name),
    ...body.sparseInitializer.map(({ values }) => values?.name ?? ''),
    ...body.node.flatMap(({ output }) => output),
  ]
}
