/**
 * What runs on integers: types between the code that decides it (which layers, which tensors), the calibration that finds
 * the ranges, and the code that writes it. Plain data.
 */
import type { ActivationQuantizer } from './quantizer.js'

/**
 * How the inputs of a layer are quantized: `static`, with a range fixed by calibration (QuantizeLinear), or `dynamic`, with
 * the range of the tensor at hand (DynamicQuantizeLinear).
 */
export type RangeKind = 'static' | 'dynamic'

/** The opset of a DequantizeLinear with a scale per neuron, and that of DynamicQuantizeLinear. */
export const INTEGER_OPSETS: Readonly<Record<RangeKind, number>> = { static: 13, dynamic: 11 }

/** What of a network runs on integers. It follows from the graph and from which layers are chosen. */
export interface IntegerPlan {
  /** Layers on integers, by name. */
  readonly layers: ReadonlyMap<string, RangeKind>
  /**
   * Tensors with a static range of their own, in topological order. All their readers read the quantized values: layers,
   * and also the float nodes beside them.
   */
  readonly tensors: readonly string[]
  /**
   * Outputs of nodes that take their values from a quantized tensor unchanged (MaxPool, Reshape …), and the tensor in
   * `tensors` whose quantizer they have.
   */
  readonly like: ReadonlyMap<string, string>
  /** Inputs of the graph among `tensors` that the written model takes as codes, uint8, instead of as floats. */
  readonly byteInputs: ReadonlySet<string>
}

/** A network without integer arithmetic. */
export const NO_INTEGERS: IntegerPlan = {
  ...{ layers: new Map(), tensors: [], like: new Map() },
  byteInputs: new Set(),
}

/** Quantizers by tensor of IntegerPlan.tensors. */
export type ActivationQuantizers = ReadonlyMap<string, ActivationQuantizer>

/** What to write on integers, and with which quantizers. */
export interface Integers {
  readonly plan: IntegerPlan
  /** Of all of the plan's tensors. */
  readonly quantizers: ActivationQuantizers
}
