/**
 * Replaces weights where they are stored, in the graph or in the body of an If, Loop or Scan at any depth: the tensor keeps its
 * name, so that all of its readers get the new values. The other parts of the bodies are kept by reference.
 */
import type { AttributeProto, GraphProto, NodeProto, TensorProto } from 'onnx-buf'
import { intsAttr, tensorAttr } from './attributes.js'
import { applyPositions, type Chain, chainPositions } from './chain.js'
import { type GraphEdit, makeNode } from './edit.js'
import type { Home } from './flatGraph.js'
import type { WeightWriter } from './formats/weightWriter.js'
import { shallowCopy } from './model.js'
import { subgraphs } from './subgraphs.js'
import { dimsOf, makeFloats } from './tensor.js'
import { toNodeLayout, type WeightView } from './weightView.js'

/** What makes a stored tensor in place of its initializer or Constant node. */
export interface Replacement {
  readonly home: Home
  /** Nodes, of which the last one makes the tensor; none if a constant is the tensor itself. */
  readonly nodes: readonly NodeProto[]
  /** For a body: initializers to add to it. Those of the graph are in the edit already, but for the tensor itself. */
  readonly constants: readonly TensorProto[]
}

/** Makes the replacements in an edit of the graph. */
export function replaceStored(edit: GraphEdit, replacements: readonly Replacement[]): void {
  const inBodies = new Map<number, Map<string, Replacement>>()
  for (const replacement of replacements) {
    const { home, nodes, constants } = replacement
    if (home.graph > 0) {
      const own = inBodies.get(home.graph)
      if (own === undefined) inBodies.set(home.graph, new Map([[home.name, replacement]]))
      else own.set(home.name, replacement)
      continue
    }
    const producer = edit.graph.producer(home.name)
    if (producer !== undefined) {
      edit.insertBefore(producer, nodes)
      edit.remove(producer)
    } else if (nodes.length > 0) edit.replaceInitializer(home.name, nodes)
    else for (const tensor of constants) edit.overwrite(tensor)
  }
  if (inBodies.size === 0) return
  const bodies = new Bodies(inBodies)
  edit.graph.nodes.forEach((node, index) => {
    if (subgraphs(node).length === 0) return
    const attribute = bodies.attributesOf(node)
    if (attribute === null) return
    const copy = shallowCopy(edit.node(index))
    copy.attribute = attribute
    edit.replace(index, copy)
  })
}

/** Walks through all bodies in the order in which flatGraph numbers them. */
class Bodies {
  readonly #replacements: ReadonlyMap<number, ReadonlyMap<string, Replacement>>
  #count = 0

  constructor(replacements: ReadonlyMap<number, ReadonlyMap<string, Replacement>>) {
    this.#replacements = replacements
  }

  /** The attributes of a node with changed bodies; null if none changes. */
  attributesOf({ attribute }: NodeProto): AttributeProto[] | null {
    let changed = false
    const attributes = attribute.map((old) => {
      const g = old.g && this.#changed(old.g)
      const graphs = old.graphs.map((body) => this.#changed(body))
      if (g === old.g && graphs.every((body, i) => body === old.graphs[i])) return old
      changed = true
      const copy = shallowCopy(old)
      if (g !== undefined) copy.g = g
      copy.graphs = graphs
      return copy
    })
    return changed ? attributes : null
  }

  #changed(body: GraphProto): GraphProto {
    const own = this.#replacements.get(++this.#count)
    let inner = false
    const nodes = body.node.map((node) => {
      if (subgraphs(node).length === 0) return node
      const attribute = this.attributesOf(node)
      if (attribute === null) return node
      inner = true
      const copy = shallowCopy(node)
      copy.attribute = attribute
      return copy
    })
    if (own === undefined && !inner) return body
    const copy = shallowCopy(body)
    copy.node = nodes
    if (own !== undefined) replaceIn(copy, own)
    return copy
  }
}

/** Replaces tensors of a body: initializers by nodes in front of all others, Constant nodes by nodes in their places. */
function replaceIn(body: GraphProto, replacements: ReadonlyMap<string, Replacement>): void {
  const placed = new Set<Replacement>()
  const nodes = body.node.flatMap((node) => {
    const replacement = replacements.get(node.output[0] ?? '')
    if (replacement === undefined) return [node]
    placed.add(replacement)
    return replacement.nodes
  })
  const all = [...replacements.values()]
  body.node = [...all.flatMap((replacement) => (placed.has(replacement) ? [] : replacement.nodes)), ...nodes]
  body.initializer = [
    ...body.initializer.filter(({ name }) => !replacements.has(name)),
    ...all.flatMap(({ constants }) => constants),
  ]
}

/**
 * The same weight with other values, as it is stored.
 * @param view of the node whose layout the values follow
 * @param values (groups, inputs, neurons)
 */
export function storedValues(
  edit: GraphEdit,
  home: Home,
  view: WeightView,
  values: Float32Array,
): Replacement {
  const { stored } = view.chain
  const atNode = toNodeLayout(view, values, new Float32Array(values.length))
  const data = applyPositions(chainPositions(view.chain), atNode)
  const tensor = makeFloats(home.name, stored.dataType, dimsOf(stored), data)
  const producer = home.graph === 0 ? edit.graph.producer(home.name) : undefined
  if (producer === undefined) return { home, nodes: [], constants: [tensor] }
  const node = makeNode('Constant', [], home.name, [tensorAttr('value', tensor)])
  node.name = edit.node(producer).name
  return { home, nodes: [node], constants: [] }
}

/**
 * Lets the nodes of a writer make the tensor as it is stored, from what was emitted in the layout of the first node.
 * @param name of the stored tensor
 */
export function emitStored(writer: WeightWriter, chain: Chain, emitted: string, name: string): void {
  let tensor = emitted
  let dims = chain.dims
  const inShape = (shape: readonly number[]) => {
    if (dims.join() !== shape.join()) tensor = writer.reshape(tensor, shape)
    dims = shape
  }
  for (const step of chain.steps.toReversed()) {
    if (step.kind === 'cast') continue
    inShape(step.perm.map((axis) => step.dims[axis] ?? 0))
    const inverse = step.perm.map((_, axis) => step.perm.indexOf(axis))
    tensor = writer.emit('Transpose', [tensor], [intsAttr('perm', inverse)])
    dims = step.dims
  }
  inShape(dimsOf(chain.stored))
  if (chain.elemType !== chain.stored.dataType) tensor = writer.cast(tensor, chain.stored.dataType)
  const last = writer.nodes.at(-1)
  if (last?.output[0] === tensor) last.output = [name]
  else writer.nodes.push(makeNode('Identity', [tensor], name))
}
