/**
 * The names of all tensors of a graph, and names that are not among them: what is written or run beside the model's own
 * tensors never takes a name that the model has.
 */
import type { GraphProto } from 'onnx-buf'
import type { GraphIndex } from './graph.js'
import { graphOf } from './model.js'
import { subgraphs } from './subgraphs.js'

const known = new WeakMap<GraphIndex, ReadonlySet<string>>()

/** Every tensor name of a graph and its subgraphs, and the empty one. */
export function tensorNames(graph: GraphIndex): ReadonlySet<string> {
  let names = known.get(graph)
  if (names === undefined) {
    names = collect(graphOf(graph.model))
    known.set(graph, names)
  }
  return names
}

function collect(root: GraphProto): ReadonlySet<string> {
  const names = new Set<string>([''])
  const visit = ({ node, initializer, sparseInitializer, input, output }: GraphProto) => {
    for (const { name } of [...initializer, ...input, ...output]) names.add(name)
    for (const { values } of sparseInitializer) names.add(values?.name ?? '')
    for (const inner of node) {
      for (const tensor of inner.input) names.add(tensor)
      for (const tensor of inner.output) names.add(tensor)
      for (const body of subgraphs(inner)) visit(body)
    }
  }
  visit(root)
  return names
}

/** A suffix that no tensor's name ends with: `stem`, or `stem` with a number. */
export function freeSuffix(graph: GraphIndex, stem: string): string {
  const taken = new Set<string>()
  for (const name of tensorNames(graph)) {
    const at = name.lastIndexOf(stem)
    if (at >= 0) taken.add(name.slice(at))
  }
  return freshIn((suffix) => taken.has(suffix), stem)
}

/** A name that is not taken: `stem`, or `stem` with a number. */
export function freshIn(isTaken: (name: string) => boolean, stem: string): string {
  let name = stem
  for (let n = 2; isTaken(name); n++) name = `${stem}_${n}`
  return name
}

/** Gives names that are not taken, and takes them: `stem`, or `stem` with a number. Many names of one stem take linear time. */
export function freshNames(taken: Set<string>): (stem: string) => string {
  const suffixes = new Map<string, number>() // the next to try, by stem: all below are taken
  return (stem) => {
    let name = stem
    let n = suffixes.get(stem) ?? 2
    while (taken.has(name)) name = `${stem}_${n++}`
    suffixes.set(stem, n)
    taken.add(name)
    return name
  }
}
