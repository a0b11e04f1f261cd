/**
 * The plan of a whole model: read it, fold what can be folded, find the layers, settle each one's alphabet and output
 * form. Nothing runs here; planModel prints as --dry-run, quantizeModel carries it out.
 */
import type { ModelProto } from 'onnx-buf'
import { GpfqError } from './errors.js'
import { blockSizeOf } from './methods/alphabet.js'
import { externalDataPaths, resolveExternalData } from './onnx/externalData.js'
import { foldBatchNorms } from './onnx/foldBatchNorm.js'
import { chooseFormat } from './onnx/formats/choose.js'
import { type GraphIndex, indexGraph } from './onnx/graph.js'
import type { Format, Layer, Skipped } from './onnx/layer.js'
import { findLayers } from './onnx/layers.js'
import { decodeModel, opsetOf } from './onnx/model.js'
import { matchLayers } from './onnx/patterns.js'
import type { ModelPlan, PlanModel, QuantizeModelOptions } from './options.js'
import { resolveSettings, type Settings } from './settings.js'

export interface PlannedLayer {
  readonly layer: Layer
  readonly levels: number
  readonly blockSize: number
  readonly format: Format
  readonly formatReason: string
  readonly bytesIn: number
  readonly bytesOut: number // estimate
}

export interface PreparedModel {
  readonly settings: Settings
  /** The float model that both streams start from: BatchNormalization folded, external data resolved. */
  readonly model: ModelProto
  readonly graph: GraphIndex
  readonly layers: readonly PlannedLayer[]
  readonly skipped: readonly Skipped[]
  readonly foldedBatchNorms: readonly string[]
  readonly notes: readonly string[]
}

type PlanOptions = Omit<QuantizeModelOptions, 'runner' | 'calibration'>

export async function prepareModel(bytes: Uint8Array, options: PlanOptions): Promise<PreparedModel> {
  const settings = resolveSettings(options)
  const decoded = decodeModel(bytes)
  const external = externalDataPaths(decoded)
  if (external.length > 0 && options.readExternalData === undefined) {
    throw new GpfqError(
      'INVALID_DATA',
      `model: expected readExternalData, for its weights lie in ${external.join(', ')}, got none`,
    )
  }
  const whole =
    options.readExternalData === undefined
      ? decoded
      : await resolveExternalData(decoded, options.readExternalData)
  const { model, folded } = settings.foldBatchNorm ? foldBatchNorms(whole) : { model: whole, folded: [] }
  const graph = indexGraph(model)
  const { layers, skipped } = findLayers(graph, settings)
  if (layers.length === 0) {
    const why = skipped.slice(0, 3).map(({ name, reason }) => `'${name}': ${reason}`)
    throw new GpfqError(
      'NOTHING_TO_QUANTIZE',
      `model: expected at least one Conv, Gemm or MatMul with constant weights, got none${why.length > 0 ? ` (${why.join('; ')})` : ''}`,
    )
  }
  const levels = levelsByLayer(layers, skipped, settings)
  return {
    settings,
    model,
    graph,
    layers: layers.map((layer) => planLayer(graph, layer, levels.get(layer) ?? settings.levels, settings)),
    skipped,
    foldedBatchNorms: folded,
    notes:
      external.length > 0 ? [`external data (${external.join(', ')}) is written into the model file`] : [],
  }
}

function levelsByLayer(
  layers: readonly Layer[],
  skipped: readonly Skipped[],
  settings: Settings,
): ReadonlyMap<Layer, number> {
  const levels = new Map<Layer, number>()
  for (const entry of settings.levelsFor) {
    for (const layer of matchLayers(entry.pattern, layers, skipped, 'levels for'))
      levels.set(layer, entry.levels)
  }
  return levels
}

function planLayer(graph: GraphIndex, layer: Layer, levels: number, settings: Settings): PlannedLayer {
  const blockSize = blockSizeOf(settings.scalePer, layer.inputs)
  const { format, reason, bytes } = chooseFormat(graph, layer, levels, blockSize, settings.format)
  return {
    layer,
    levels,
    blockSize,
    format,
    formatReason: reason,
    bytesIn: 4 * layer.groups * layer.inputs * layer.neurons,
    bytesOut: bytes,
  }
}

/** Reads a model and says what quantizeModel would do with it. Errors as quantizeModel's. */
export const planModel: PlanModel = async (bytes, options) => {
  const prepared = await prepareModel(bytes, options)
  return describePlan(prepared)
}

function describePlan({
  settings,
  model,
  layers,
  skipped,
  foldedBatchNorms,
  notes,
}: PreparedModel): ModelPlan {
  return {
    settings: { ...settings },
    opset: opsetOf(model),
    foldedBatchNorms,
    layers: layers.map(({ layer, levels, format, formatReason, bytesIn, bytesOut }) => ({
      name: layer.name,
      op: layer.op,
      weight: layer.weight,
      groups: layer.groups,
      inputs: layer.inputs,
      neurons: layer.neurons,
      levels,
      format,
      formatReason,
      bytesIn,
      bytesOut,
    })),
    skipped,
    notes,
  }
}
