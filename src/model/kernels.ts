/** Which layers of a model run on integers: by their shapes, or as the options ask; and what else of the network then does. */
import { blockSizeOf } from '../methods/alphabet.js'
import { chooseKernel } from '../onnx/activations/chooseKernel.js'
import { type IntegerPlan, NO_INTEGERS } from '../onnx/activations/integers.js'
import { planIntegers } from '../onnx/activations/planIntegers.js'
import type { GraphIndex } from '../onnx/graph.js'
import type { Format, Layer, Skipped } from '../onnx/layer.js'
import { matchLayers } from '../onnx/patterns.js'
import { planStages } from '../onnx/stages.js'
import type { PlanLayer } from '../options.js'
import type { Settings } from './settings.js'

export type LayerKernel = Pick<PlanLayer, 'kernel' | 'ranges' | 'kernelReason'>

export const kernelOf = ({ kernel, ranges, kernelReason }: LayerKernel): LayerKernel => ({
  ...{ kernel, ranges, kernelReason },
})

const float = (kernelReason: string): LayerKernel => ({ kernel: 'float', ranges: null, kernelReason })

/** The format that a layer on integers would have. */
export const integerFormatOf = (format: Settings['format']): Format => (format === 'auto' ? 'packed' : format)

/**
 * The kernel of each layer.
 * @param levels of layers that have others than the settings
 * @throws GpfqError NO_MATCH for a glob without a match
 */
export function kernelsByLayer(
  graph: GraphIndex,
  layers: readonly Layer[],
  skipped: readonly Skipped[],
  levels: ReadonlyMap<Layer, number>,
  settings: Settings,
): ReadonlyMap<Layer, LayerKernel> {
  const { activations, format, scalePer } = settings
  if (activations === null)
    return new Map(layers.map((layer) => [layer, float('activations are not quantized')]))
  const asked = new Map<Layer, 'int8' | 'float'>()
  for (const { pattern, kernel } of activations.for)
    for (const layer of matchLayers(pattern, layers, skipped, 'activations for')) asked.set(layer, kernel)
  // A weight tied across depth is solved after its first nodes have run, which then cannot have read rounded inputs.
  const replayed = new Set(
    planStages(graph, layers).flatMap(({ quantize, replay }) => (replay ? quantize : [])),
  )
  return new Map(
    layers.map((layer): [Layer, LayerKernel] => {
      if (replayed.has(layer)) return [layer, float('its weight is used again on what follows from it')]
      const shape = {
        levels: levels.get(layer) ?? settings.levels,
        format: integerFormatOf(format),
        blockSize: blockSizeOf(scalePer, layer.inputs),
      }
      const { kernel, ranges, reason } = chooseKernel(graph, layer, shape, asked.get(layer) ?? 'auto')
      return [layer, { kernel, ranges, kernelReason: reason }]
    }),
  )
}

/** What of the network runs on integers, from the kernels of its layers. */
export function integersOf(
  graph: GraphIndex,
  layers: readonly Layer[],
  kernel: (layer: Layer) => Pick<PlanLayer, 'ranges'>,
  { activations }: Settings,
): IntegerPlan {
  const own = layers.flatMap((layer) => {
    const { ranges } = kernel(layer)
    return ranges === null ? [] : [[layer, ranges] as const]
  })
  return own.length === 0 ? NO_INTEGERS : planIntegers(graph, new Map(own), activations?.byteInputs)
}
