/**
 * A network as a value: the float model, the solutions of the layers quantized so far, the corrections of their biases, and
 * the quantizers of the activations of which layers on integers read or make.
 * It never changes; `with` gives another one. What the quantized stream of calibration runs and what is written to the file
 * both come from here, so they are the same network.
 */
import type { ModelProto } from 'onnx-buf'
import { dequantize } from '../methods/alphabet.js'
import { type ActivationQuantizers, type IntegerPlan, NO_INTEGERS } from './activations/integers.js'
import { correctBiases } from './biasCorrection.js'
import { GraphEdit } from './edit.js'
import { indexGraph } from './graph.js'
import type { Format, Layer, QuantizedWeight } from './layer.js'
import { allViewsOf, homeOf } from './layers.js'
import { extractSegment, type PortNames, portNames, type SegmentInput } from './segment.js'
import { replaceStored, storedValues } from './storedWeights.js'
import { type WrittenModel, writeQuantized } from './writeQuantized.js'

/** A layer and what was found for it. */
export interface SolvedLayer {
  readonly layer: Layer
  readonly quantized: QuantizedWeight
  /** Added to the layer's outputs, (groups·neurons). */
  readonly correction?: Float32Array
}

export class Network {
  /** The float model. */
  readonly float: ModelProto
  /** By layer name, in the order in which they were solved. */
  readonly solved: ReadonlyMap<string, SolvedLayer>
  /** What of it runs on integers. */
  readonly integers: IntegerPlan
  /** Of the tensors of `integers` whose range is known so far. */
  readonly quantizers: ActivationQuantizers
  /** Names of what segments take and give. */
  readonly names: PortNames
  /** The float model with corrected biases, and with the weights that are replaced where they are stored. */
  readonly #changed: ModelProto
  readonly #values: ReadonlyMap<string, Float32Array>

  private constructor(
    float: ModelProto,
    changed: ModelProto,
    solved: ReadonlyMap<string, SolvedLayer>,
    values: ReadonlyMap<string, Float32Array>,
    integers: IntegerPlan,
    quantizers: ActivationQuantizers,
    names: PortNames,
  ) {
    this.float = float
    this.integers = integers
    this.quantizers = quantizers
    this.names = names
    this.#changed = changed
    this.solved = solved
    this.#values = values
  }

  /**
   * The float network, with nothing quantized.
   * @param model every node has a name if biases are to be corrected
   * @param integers what of it will run on integers
   */
  static of(model: ModelProto, integers: IntegerPlan = NO_INTEGERS): Network {
    const names = portNames(indexGraph(model))
    return new Network(model, model, new Map(), new Map(), integers, new Map(), names)
  }

  /** Whether nothing is quantized. */
  get isFloat(): boolean {
    return this.solved.size === 0 && this.quantizers.size === 0
  }

  /** Tensors that solved layers with dynamic ranges read. */
  get roundedInputs(): ReadonlySet<string> {
    const layers = [...this.solved.values()].filter(({ layer }) => this.#isDynamic(layer.name))
    return new Set(layers.flatMap(({ layer }) => layer.uses.map(({ input }) => input)))
  }

  /** The network with more layers quantized, and with quantizers of more of its activations. */
  with(layers: readonly SolvedLayer[], quantizers: ActivationQuantizers = new Map()): Network {
    if (layers.length === 0 && quantizers.size === 0) return this
    const solved = new Map(this.solved)
    const values = new Map(this.#values)
    for (const entry of layers) {
      const { layer, quantized } = entry
      solved.set(layer.name, entry)
      if (layer.unsampled.length === 0) values.set(layer.name, dequantize(quantized, layer))
    }
    // A layer that is solved again keeps nothing of its former correction.
    const replaces = solved.size < this.solved.size + layers.length
    const entries = replaces ? [...solved.values()] : layers
    let changed = withStored(replaces ? this.float : this.#changed, entries)
    for (const { layer, correction } of entries) {
      if (correction !== undefined) changed = correctBiases(changed, layer, correction)
    }
    const { float, integers } = this
    return new Network(
      ...([float, changed, solved, values, integers] as const),
      new Map([...this.quantizers, ...quantizers]),
      this.names,
    )
  }

  /**
   * Bytes of a model that computes some tensors of this network from others. Solved layers with dynamic ranges read their
   * inputs under the name PortNames.rounded; tensors with static ranges are to be given rounded.
   * @throws TypeError, RangeError as extractSegment
   */
  segment(inputs: readonly SegmentInput[], outputs: readonly string[]): Uint8Array {
    const rounded = (layer: string): boolean => this.#isDynamic(layer)
    const { names } = this
    return extractSegment(this.#changed, inputs, outputs, { weights: this.#values, rounded, names })
  }

  /** The network as a model of its own, each layer's weight in its format. @param formats by layer name */
  write(formats: ReadonlyMap<string, Format>, info: string): WrittenModel {
    const entries = [...this.solved.values()].map(({ layer, quantized }) => ({
      ...{ layer, quantized },
      format: formats.get(layer.name) ?? 'float',
    }))
    const corrections = new Map(
      [...this.solved].flatMap(([name, { correction }]) =>
        correction === undefined ? [] : [[name, correction] as const],
      ),
    )
    const { integers: plan, quantizers } = this
    return writeQuantized(this.float, entries, corrections, info, { plan, quantizers })
  }

  #isDynamic(layer: string): boolean {
    return this.integers.layers.get(layer) === 'dynamic'
  }
}

/** The model with the quantized values of those layers whose weights are replaced where they are stored. */
function withStored(model: ModelProto, entries: readonly SolvedLayer[]): ModelProto {
  const stored = entries.filter(({ layer }) => layer.unsampled.length > 0)
  if (stored.length === 0) return model
  const graph = indexGraph(model)
  const edit = new GraphEdit(graph)
  replaceStored(
    edit,
    stored.map(({ layer, quantized }) =>
      storedValues(edit, homeOf(graph, layer), allViewsOf(graph, layer)[0]!, dequantize(quantized, layer)),
    ),
  )
  return edit.finish()
}
