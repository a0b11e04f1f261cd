/** Which layers of a model run on integers: by their shapes, or as the options ask; and what else of the network then does. */
import { blockSizeOf } from '../methods/alphabet.js'
import { type AskedKernel, chooseKernel, paysBetween } from '../onnx/activations/chooseKernel.js'
import { closeChains } from '../onnx/activations/closeChains.js'
import { type IntegerPlan, NO_INTEGERS, type RangeKind } from '../onnx/activations/integers.js'
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
  const choose = (layer: Layer, kernel: AskedKernel): LayerKernel => {
    if (layer.unsampled.length > 0) return float('its weight is also read where no integer kernel can stand')
    if (replayed.has(layer)) return float('its weight is used again on what follows from it')
    const shape = {
      levels: levels.get(layer) ?? settings.levels,
      format: integerFormatOf(format),
      blockSize: blockSizeOf(scalePer, layer.inputs),
    }
    const { reason, ...chosen } = chooseKernel(graph, layer, shape, kernel)
    return { ...chosen, kernelReason: reason }
  }
  const kernels = new Map(layers.map((layer) => [layer, choose(layer, asked.get(layer) ?? 'auto')]))
  const candidates = layers.filter(
    (layer) =>
      kernels.get(layer)?.kernel === 'float' &&
      !asked.has(layer) &&
      choose(layer, 'int8').ranges === 'static' &&
      paysBetween(graph, layer),
  )
  for (const layer of closeChains(
    graph,
    rangesOf(layers, (each) => kernels.get(each)!),
    candidates,
  ))
    kernels.set(layer, {
      ...choose(layer, 'int8'),
      kernelReason: 'stands between layers on integers: as a float layer it would break their chain',
    })
  return kernels
}

/** The layers on integers. */
function rangesOf(
  layers: readonly Layer[],
  kernel: (layer: Layer) => Pick<PlanLayer, 'ranges'>,
): ReadonlyMap<Layer, RangeKind> {
  const own = layers.flatMap((layer) => {
    const { ranges } = kernel(layer)
    return ranges === null ? [] : [[layer, ranges] as const]
  })
  return new Map(own)
}

/** What of the network runs on integers, from the kernels of its layers. */
export function integersOf(
  graph: GraphIndex,
  layers: readonly Layer[],
  kernel: (layer: Layer) => Pick<PlanLayer, 'ranges'>,
  { activations }: Settings,
): IntegerPlan {
  const own = rangesOf(layers, kernel)
  return own.size === 0 ? NO_INTEGERS : planIntegers(graph, own, activations?.byteInputs)
}
