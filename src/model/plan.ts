/**
 * The plan of a whole model, as plain JSON: every option filled in, every layer with its alphabet and format, and the order
 * of the stages. planModel makes it without running anything, a dry run of the command line prints it, and quantizePlanned
 * carries out exactly what it says.
 */
import { GpfqError } from '../errors.js'
import { blockSizeOf } from '../methods/alphabet.js'
import { coefficientsOf } from '../methods/frame.js'
import type { Note } from '../notes.js'
import type { IntegerPlan } from '../onnx/activations/integers.js'
import { chooseFormat, integerFormat } from '../onnx/formats/choose.js'
import type { GraphIndex } from '../onnx/graph.js'
import type { Layer, Skipped } from '../onnx/layer.js'
import { findLayers, floatCopies, storedBytes } from '../onnx/layers.js'
import { type Model, openModel } from '../onnx/openModel.js'
import { matchLayers } from '../onnx/patterns.js'
import { planStages } from '../onnx/stages.js'
import type { ModelPlan, PlanLayer, PlanModel } from '../options.js'
import { checkModel } from './arguments.js'
import { integerFormatOf, integersOf, kernelOf, kernelsByLayer, type LayerKernel } from './kernels.js'
import { PLAN_VERSION } from './planVersion.js'
import { preparedModel } from './preparedModel.js'
import { resolveSettings, type Settings } from './settings.js'

/**
 * Reads a model and decides what quantizeModel would do with it, without running anything.
 * @param source the model's bytes, or what openModel gives
 * @param options as for quantizeModel, without what only a run needs
 * @function
 * @returns plain JSON, for quantizePlanned
 * @throws GpfqError INVALID_MODEL, UNSUPPORTED_MODEL, INVALID_DATA, NO_MATCH, NOTHING_TO_QUANTIZE
 * @throws TypeError, RangeError for options
 * @example
 * const plan = await planModel(bytes, { levels: 15 })
 * await writeFile('plan.json', JSON.stringify(plan))
 */
export const planModel: PlanModel = async (source, options) => {
  checkModel('model', source)
  const settings = resolveSettings(options)
  const model = source instanceof Uint8Array ? await openModel(source, options.readExternalData) : source
  return planOf(model, settings)
}

async function planOf(model: Model, settings: Settings): Promise<ModelPlan> {
  const { graph, folded, bytesIn } = await preparedModel(model, settings.foldBatchNorm)
  const { layers, skipped } = findLayers(graph, settings)
  if (layers.length === 0) throw nothingToQuantize(skipped)
  const levels = levelsByLayer(layers, skipped, settings)
  const kernels = kernelsByLayer(graph, layers, skipped, levels, settings)
  const integers = integersOf(graph, layers, (layer) => kernels.get(layer)!, settings)
  return {
    version: PLAN_VERSION,
    settings,
    opset: model.opset,
    bytesIn,
    foldedBatchNorms: folded,
    layers: layers.map((layer) => ({
      ...planLayer(graph, layer, levels.get(layer) ?? settings.levels, settings, kernels.get(layer)!),
      fixed: levels.has(layer),
    })),
    stages: planStages(graph, layers, integers.tensors).map(({ ranges, quantize, replay }) => ({
      ranges,
      quantize: quantize.map(({ name }) => name),
      replay,
    })),
    skipped,
    notes: [
      ...embeddedNotes(model.externalData),
      ...copyNotes(graph, layers),
      ...integerNotes(graph, settings, integers),
    ],
  }
}

function nothingToQuantize(skipped: readonly Skipped[]): GpfqError {
  const why = skipped.slice(0, 3).map(({ name, reason }) => `'${name}': ${reason}`)
  return new GpfqError('NOTHING_TO_QUANTIZE', {
    place: 'model',
    expected: 'at least one Conv, Gemm or MatMul with constant weights',
    got: why.length === 0 ? 'none' : `none (${why.join('; ')})`,
  })
}

const embeddedNotes = (external: readonly string[]): readonly Note[] =>
  external.length === 0
    ? []
    : [
        {
          code: 'EXTERNAL_DATA_EMBEDDED',
          place: null,
          text: `external data (${external.join(', ')}) is written into the model file`,
        },
      ]

const copyNotes = (graph: GraphIndex, layers: readonly Layer[]): readonly Note[] =>
  floatCopies(graph, layers).map(({ weight, reader }) => ({
    code: 'FLOAT_COPY_KEPT',
    place: `'${weight}'`,
    text: `stays in the file as it is, too, since ${reader} reads it`,
  }))

/** What a caller who wants integers may want to know: that there are none, and that inputs could be bytes. */
function integerNotes(
  graph: GraphIndex,
  { activations }: Settings,
  { layers, tensors }: IntegerPlan,
): readonly Note[] {
  if (activations === null) return []
  if (layers.size === 0) {
    const text = 'no layer runs on integers, so activations stay float: each layer says why'
    return [{ code: 'NO_LAYER_ON_INTEGERS', place: null, text }]
  }
  const inputs = new Set(graph.inputs)
  return tensors
    .filter((tensor) => inputs.has(tensor) && !activations.byteInputs)
    .map((tensor) => ({
      code: 'BYTES_POSSIBLE',
      place: `input '${tensor}'`,
      text: 'is rounded to 8 bits first, so the model can take these bytes instead of floats (byteInputs)',
    }))
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
  kernel: LayerKernel,
): Omit<PlanLayer, 'fixed'> {
  const blockSize = blockSizeOf(settings.scalePer, layer.inputs)
  const { format, reason, bytes } =
    kernel.kernel === 'int8'
      ? integerFormat(layer, levels, integerFormatOf(settings.format))
      : chooseFormat(graph, layer, levels, blockSize, settings.format)
  const { name, op, weight, groups, inputs, neurons } = layer
  return {
    ...{ name, op, weight, groups, inputs, neurons, levels, blockSize },
    planes: planesOf(layer, settings),
    codeBits: codeBits(layer, levels, blockSize, settings),
    format,
    formatReason: reason,
    ...kernel,
    bytesIn: storedBytes(graph, layer),
    bytesOut: bytes,
  }
}

/** Bits a weight of codes and scales: of one neuron, since all are alike. */
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

/** The same plan with other alphabets for some layers, by name. @param layersOf the graph's layers by name */
export function withLevels(
  plan: ModelPlan,
  graph: GraphIndex,
  layersOf: ReadonlyMap<string, Layer>,
  levels: ReadonlyMap<string, number>,
): ModelPlan {
  return {
    ...plan,
    layers: plan.layers.map((planned) => ({
      ...planLayer(
        graph,
        layersOf.get(planned.name)!,
        levels.get(planned.name) ?? planned.levels,
        plan.settings,
        kernelOf(planned),
      ),
      fixed: planned.fixed,
    })),
  }
}
