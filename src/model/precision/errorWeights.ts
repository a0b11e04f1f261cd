/**
 * The weight of each layer's error: how much of it reaches the rest of the network. It follows from the energies ‖T‖² of
 * the float network's tensors on the calibration data. With these weights, errors ‖Y − Ỹ‖² / ‖Y‖² of layers can be added.
 *
 *   a sum (residual branch)   the error keeps its energy, the signal becomes the sum: factor ‖branch‖² / ‖sum‖²
 *   Relu, Clip                the error passes where the slope is 1: factor (share of such elements) · ‖in‖² / ‖out‖²
 *   everything else           error and signal change alike: factor 1
 *
 * The second factor holds for an error as it leaves its layer, spread evenly over all outputs. After the next layer has
 * mixed it, the error has the distribution of the signal and changes in proportion to it: from there on only sums change
 * its share. If a node has several inputs that it does not sum (products, attention), each carries an equal part, so
 * weights do not grow with depth.
 */

import type { GraphIndex } from '../../onnx/graph.js'
import type { Layer } from '../../onnx/layer.js'
import { floatsOf } from '../../tensor/floats.js'
import type { Tensor } from '../../tensor/tensor.js'

const SUMS = new Set(['Add', 'Sub', 'Sum', 'Concat'])
const CLIPS = new Set(['Relu', 'Clip'])

/** Sums over one tensor, over all batches. */
interface Energy {
  squares: number
  count: number
  /** Elements that are neither the smallest nor the largest value of their batch: those that Relu or Clip lets through. */
  between: number
}

/** Sums the energies of tensors batch by batch, and computes the weights of layers from them. */
export class ErrorWeights {
  readonly #graph: GraphIndex
  readonly #energies = new Map<string, Energy>()

  constructor(graph: GraphIndex) {
    this.#graph = graph
  }

  /** Outputs of the given nodes whose energy is needed: those of sums and clips, and their inputs. */
  wanted(nodes: readonly number[]): readonly string[] {
    const graph = this.#graph
    const counts = (node: number): boolean => SUMS.has(opOf(graph, node)) || CLIPS.has(opOf(graph, node))
    return nodes
      .filter((node) => !graph.isConstantNode(node))
      .flatMap((node) =>
        graph.nodes[node]!.output.filter(
          (tensor) => tensor !== '' && (counts(node) || graph.consumers(tensor).some(counts)),
        ),
      )
  }

  /** Adds a batch of a tensor to its energy. */
  add(name: string, tensor: Tensor): void {
    if (!tensor.type.startsWith('float')) return
    const values = floatsOf(tensor)
    let smallest = Number.POSITIVE_INFINITY
    let largest = Number.NEGATIVE_INFINITY
    let squares = 0
    for (const value of values) {
      squares += value * value
      if (value < smallest) smallest = value
      if (value > largest) largest = value
    }
    let between = 0
    for (const value of values) if (value > smallest && value < largest) between++
    const known = this.#energies.get(name) ?? { squares: 0, count: 0, between: 0 }
    this.#energies.set(name, {
      squares: known.squares + squares,
      count: known.count + values.length,
      between: known.between + between,
    })
  }

  /** Weight of each layer's squared relative error, by layer name. */
  weights(layers: readonly Layer[]): ReadonlyMap<string, number> {
    const graph = this.#graph
    const quantized = new Set(layers.flatMap(({ uses }) => uses.map(({ output }) => output)))
    const fresh = new Map<string, number>() // weight of an error as it leaves its layer
    const carried = new Map<string, number>() // weight of an error that a layer has mixed
    for (const output of graph.outputs) for (const map of [fresh, carried]) map.set(output, 1)
    for (const node of graph.order.toReversed()) {
      const inputs = graph.reads(node).filter((tensor) => !graph.isConstant(tensor))
      for (const output of graph.nodes[node]!.output) {
        const [leaving, mixed] = [fresh.get(output) ?? 0, carried.get(output) ?? 0]
        for (const input of inputs) {
          const op = opOf(graph, node)
          const share = SUMS.has(op) ? this.#share(input, output, op === 'Concat') : 1
          const passed = CLIPS.has(op) ? this.#share(input, output, true) * this.#between(output) : share
          const among = SUMS.has(op) ? 1 : inputs.length
          add(fresh, input, quantized.has(output) ? mixed : leaving * passed)
          add(carried, input, (mixed * share) / among)
        }
      }
    }
    const weightOf = ({ uses }: Layer): number =>
      uses.reduce((sum, { output }) => sum + (fresh.get(output) ?? 0), 0)
    return new Map(layers.map((layer) => [layer.name, weightOf(layer)]))
  }

  /** ‖input‖² / ‖output‖²: of whole tensors, or else of the mean element, since an input can be broadcast. 1 if unknown. */
  #share(input: string, output: string, whole: boolean): number {
    const [from, to] = [this.#energies.get(input), this.#energies.get(output)]
    if (from === undefined || to === undefined || to.squares === 0) return 1
    return (from.squares / to.squares) * (whole ? 1 : to.count / from.count)
  }

  /** Share of elements that Relu or Clip lets through. */
  #between(output: string): number {
    const energy = this.#energies.get(output)
    return energy === undefined ? 1 : energy.between / energy.count
  }
}

const opOf = (graph: GraphIndex, node: number): string => graph.nodes[node]!.opType

const add = (map: Map<string, number>, tensor: string, weight: number): void => {
  map.set(tensor, (map.get(tensor) ?? 0) + weight)
}
