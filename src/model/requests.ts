/** From a planned layer to what a method is asked for, and from its solution to the weight that the network reads. */
import { dequantize, type Scales, scalesFor } from '../methods/alphabet.js'
import { meanDifference } from '../methods/biasDifference.js'
import type { Observations } from '../methods/observations.js'
import { GPFQ, type Recipe } from '../methods/recipe.js'
import type { LayerSolution, SolveRequest } from '../methods/solution.js'
import { floatAttribute } from '../onnx/attributes.js'
import type { GraphIndex } from '../onnx/graph.js'
import type { QuantizedWeight } from '../onnx/layer.js'
import { readWeights } from '../onnx/layers.js'
import type { Radius } from '../options.js'
import type { PlannedLayer } from './preparedModel.js'
import type { Settings } from './settings.js'

/** How weights that are rounded get their scales, and their codes. */
export const ROUNDED: { readonly recipe: Recipe; readonly radius: Radius } = {
  recipe: { ...GPFQ, method: 'msq' },
  radius: { rule: 'mse' },
}

/** The settings of a run, with those of weights that are rounded: without samples, and so without H and G. */
export const roundedSettings = (settings: Settings): Settings => ({
  ...settings,
  ...ROUNDED.recipe,
  radius: ROUNDED.radius,
  biasCorrection: false,
})

/** What a method is asked for one layer, at each of some numbers of levels; its weights are read once. */
export function requestsFor(
  graph: GraphIndex,
  planned: PlannedLayer,
  settings: Pick<Settings, 'radius' | 'scalePer'>,
  alphabets: readonly number[] = [planned.levels],
): readonly SolveRequest[] {
  const { layer, planes, index, unit } = planned
  const { groups, inputs, neurons } = layer
  const { scalePer } = settings
  const weights = times(readWeights(graph, layer), unit)
  const radius =
    settings.radius.rule === 'value'
      ? { ...settings.radius, value: settings.radius.value * unit }
      : settings.radius
  return alphabets.map((levels) => {
    const scales = scalesFor(weights, { groups, inputs, neurons }, levels, scalePer, radius)
    // (groups, planes·taps, neurons) is (groups·planes, taps, neurons), and so are its codes; each plane has its own scales.
    return {
      ...{ weights, levels, planes, layer: index },
      shape: { groups: groups * planes, inputs: inputs / planes, neurons },
      scales: planes === 1 ? scales : spreadOverPlanes(scales, neurons, planes, inputs / planes),
      search: radius.rule !== 'search' ? 'none' : scalePer === 'layer' ? 'layer' : 'neuron',
    }
  })
}

/**
 * Squares of weights and their sums over samples stay within float32 if the weights do not come near its ends. Multiplying
 * by a power of two changes no code.
 * @param magnitude largest of the weights
 */
export function unitFor(magnitude: number): number {
  const exponent = Math.floor(Math.log2(magnitude))
  return Number.isFinite(exponent) && Math.abs(exponent) > 60 ? 2 ** -exponent : 1
}

/** The weights of a request as the model has them. */
export const modelWeights = ({ unit }: PlannedLayer, { weights }: SolveRequest): Float32Array =>
  times(weights, 1 / unit)

const times = (values: Float32Array, factor: number): Float32Array =>
  factor === 1 ? values : values.map((value) => value * factor)

/** The scales of each group, (1, neurons), once for each of its planes. */
function spreadOverPlanes({ values }: Scales, neurons: number, planes: number, blockSize: number): Scales {
  const each = Float32Array.from({ length: values.length * planes }, (_, i) => {
    const group = Math.floor(i / (planes * neurons))
    return values[group * neurons + (i % neurons)]!
  })
  return { values: each, blocks: 1, blockSize }
}

/** The weight that a solution stands for: in the groups of the layer, with one scale for the planes of a group. */
export function quantizedWeight(
  { layer, planes, unit }: PlannedLayer,
  solution: LayerSolution,
): QuantizedWeight {
  const { levels, codes, zero, blockSize } = solution
  const scales = times(solution.scales, 1 / unit)
  const values = solution.values && times(solution.values, 1 / unit)
  const { groups, neurons, inputs } = layer
  return {
    ...{ levels, codes, zero },
    scales:
      planes === 1
        ? scales
        : Float32Array.from({ length: groups * neurons }, (_, i) => {
            const group = Math.floor(i / neurons)
            return scales[group * planes * neurons + (i % neurons)]!
          }),
    blockSize: planes === 1 ? blockSize : inputs,
    ...(values && { values }),
  }
}

/**
 * What bias correction adds to the layer's outputs, (groups·neurons). A Gemm multiplies its product by alpha.
 */
export function biasCorrection(
  graph: GraphIndex,
  planned: PlannedLayer,
  observations: Observations,
  request: SolveRequest,
  quantized: QuantizedWeight,
): Float32Array {
  const { layer, planes } = planned
  const values = dequantize(quantized, layer)
  const difference = meanDifference(observations, modelWeights(planned, request), values, request.shape)
  const node = graph.nodes[graph.nodeNamed(layer.uses[0]?.node ?? '') ?? -1]
  const alpha = layer.op === 'Gemm' && node !== undefined ? floatAttribute(node, 'alpha', 1) : 1
  const out = new Float64Array(layer.groups * layer.neurons)
  for (let i = 0; i < difference.length; i++) {
    const group = Math.floor(i / (planes * layer.neurons))
    const to = group * layer.neurons + (i % layer.neurons)
    out[to] = out[to]! + alpha * difference[i]!
  }
  return Float32Array.from(out)
}
