/**
 * The plan of a whole model: read it, fold what can be folded, find the layers, settle each one's alphabet and output
 * form. Nothing runs here; planModel prints as --dry-run, quantizeModel carries it out.
 */
import type { ModelProto } from 'onnx-buf'
import { GpfqError } from '../errors.js'
import { blockSizeOf, type Scales, scalesFor } from '../methods/alphabet.js'
import { coefficientsOf } from '../methods/frame.js'
import type { SolveRequest } from '../methods/solution.js'
import { externalDataPaths, resolveExternalData } from '../onnx/externalData.js'
import { foldBatchNorms } from '../onnx/foldBatchNorm.js'
import { chooseFormat } from '../onnx/formats/choose.js'
import { type GraphIndex, indexGraph } from '../onnx/graph.js'
import type { Format, Layer, Skipped } from '../onnx/layer.js'
import { findLayers, floatCopies, readWeights, storedBytes } from '../onnx/layers.js'
import { decodeModel, opsetOf } from '../onnx/model.js'
import { matchLayers } from '../onnx/patterns.js'
import type { ModelPlan, PlanModel, QuantizeModelOptions } from '../options.js'
import { resolveSettings, type Settings } from './settings.js'

export interface PlannedLayer {
  readonly layer: Layer
  readonly levels: number
  /** The levels were asked for this layer: mixed precision leaves them. */
  readonly fixed: boolean
  readonly blockSize: number
  /** Channels of a group that are paths of their own (2010.15979); 1 for one path through all of them. */
  readonly planes: number
  readonly format: Format
  readonly formatReason: string
  readonly codeBits: number
  readonly bytesIn: number
  readonly bytesOut: number // estimate
}

export interface PreparedModel {
  readonly settings: Settings
  /** Of the model's file and its external data. */
  readonly bytesIn: number
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
  let bytesIn = bytes.length
  const whole = await resolveExternalData(decoded, async (path) => {
    if (options.readExternalData === undefined) {
      throw new GpfqError(
        'INVALID_DATA',
        `model: expected readExternalData, for its weights lie in ${external.join(', ')}, got none`,
      )
    }
    const data = await options.readExternalData(path)
    bytesIn += data.length
    return data
  })
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
    bytesIn,
    model,
    graph,
    layers: layers.map((layer) => ({
      ...planLayer(graph, layer, levels.get(layer) ?? settings.levels, settings),
      fixed: levels.has(layer),
    })),
    skipped,
    foldedBatchNorms: folded,
    notes: [
      ...(external.length > 0
        ? [`external data (${external.join(', ')}) is written into the model file`]
        : []),
      ...floatCopies(graph, layers).map(
        ({ weight, reader }) => `'${weight}' stays in the file as it is, too: ${reader} reads it`,
      ),
    ],
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

function planLayer(
  graph: GraphIndex,
  layer: Layer,
  levels: number,
  settings: Settings,
): Omit<PlannedLayer, 'fixed'> {
  const blockSize = blockSizeOf(settings.scalePer, layer.inputs)
  const { format, reason, bytes } = chooseFormat(graph, layer, levels, blockSize, settings.format)
  return {
    layer,
    levels,
    blockSize,
    planes: planesOf(layer, settings),
    format,
    formatReason: reason,
    codeBits: codeBits(layer, levels, blockSize, settings),
    bytesIn: storedBytes(graph, layer),
    bytesOut: bytes,
  }
}

/** Bits a weight of codes and scales: of one neuron, for all are alike. */
function codeBits({ inputs }: Layer, levels: number, blockSize: number, { redundancy }: Settings): number {
  const codes = redundancy === null ? inputs : coefficientsOf(inputs, redundancy)
  return (codes * Math.log2(levels) + 32 * Math.ceil(inputs / blockSize)) / inputs
}

/** 2010.15979 takes each kernel plane of a convolution as a neuron of its own. */
function planesOf({ uses, inputs }: Layer, { perChannel }: Settings): number {
  const sampling = uses[0]?.sampling
  if (!perChannel || sampling?.kind !== 'patches') return 1
  return inputs / (sampling.kernel[0] * sampling.kernel[1])
}

/** Scales (groups, 1, neurons) of a layer from those of its planes, which are alike. */
export function firstPlanes(
  scales: Float32Array,
  { layer: { groups, neurons }, planes }: PlannedLayer,
): Float32Array {
  return Float32Array.from({ length: groups * neurons }, (_, i) => {
    const group = Math.floor(i / neurons)
    return scales[group * planes * neurons + (i % neurons)]!
  })
}

/** The same plan with other alphabets for some layers, by name. */
export function withLevels(prepared: PreparedModel, levels: ReadonlyMap<string, number>): PreparedModel {
  const { graph, settings } = prepared
  return {
    ...prepared,
    layers: prepared.layers.map((planned) => ({
      ...planLayer(graph, planned.layer, levels.get(planned.layer.name) ?? planned.levels, settings),
      fixed: planned.fixed,
    })),
  }
}

/** What the methods are asked for one layer. */
export function solveRequest(
  { settings, graph, layers }: PreparedModel,
  layer: Layer,
  levels: number,
): SolveRequest {
  const weights = readWeights(graph, layer)
  const { groups, inputs, neurons } = layer
  const index = layers.findIndex((planned) => planned.layer === layer)
  const planes = layers[index]?.planes ?? 1
  const scales = scalesFor(weights, { groups, inputs, neurons }, levels, settings.scalePer, settings.radius)
  // (groups, planes·taps, neurons) is (groups·planes, taps, neurons), and so are its codes; each plane has its own scales.
  return {
    weights,
    shape: { groups: groups * planes, inputs: inputs / planes, neurons },
    levels,
    scales: planes === 1 ? scales : spread(scales, neurons, planes, inputs / planes),
    planes,
    layer: index,
    search: settings.radius.rule !== 'search' ? 'none' : settings.scalePer === 'layer' ? 'layer' : 'neuron',
  }
}

/** The scales of each group, (1, neurons), once for each of its planes. */
function spread({ values }: Scales, neurons: number, planes: number, blockSize: number): Scales {
  const each = Float32Array.from({ length: values.length * planes }, (_, i) => {
    const group = Math.floor(i / (planes * neurons))
    return values[group * neurons + (i % neurons)]!
  })
  return { values: each, blocks: 1, blockSize }
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
    layers: layers.map(({ layer, levels, format, formatReason, codeBits, bytesIn, bytesOut }) => ({
      name: layer.name,
      op: layer.op,
      weight: layer.weight,
      groups: layer.groups,
      inputs: layer.inputs,
      neurons: layer.neurons,
      levels,
      codeBits,
      format,
      formatReason,
      bytesIn,
      bytesOut,
    })),
    skipped,
    notes,
  }
}
