/**
 * The plan of a whole model, as plain JSON: every option filled in, every layer with its alphabet and format, and the order
 * of the stages. planModel makes it without running anything, a dry run of the command line prints it, and quantizePlanned
 * carries out exactly what it says.
 */
import { GpfqError } from '../errors.js'
import { blockSizeOf } from '../methods/alphabet.js'
import { coefficientsOf } from '../methods/frame.js'
import { accountFloats } from '../onnx/floatAccount.js'
import { chooseFormat, integerFormat } from '../onnx/formats/choose.js'
import type { GraphIndex } from '../onnx/graph.js'
import type { Layer, Skipped } from '../onnx/layer.js'
import { findLayers, storedBytes } from '../onnx/layers.js'
import { type Model, openModel } from '../onnx/openModel.js'
import { matchLayers } from '../onnx/patterns.js'
import { describeQuantized, quantizedAlready } from '../onnx/quantizedAlready.js'
import { planStages } from '../onnx/stages.js'
import type { ModelPlan, PlanLayer, PlanModel } from '../options.js'
import { createPauses } from '../platform/pauses.js'
import { checkModel } from './arguments.js'
import { type GivenInput, givenInputs, resolvedModel, resolvedNotes } from './givenInputs.js'
import { integerFormatOf, integersOf, kernelOf, kernelsByLayer, type LayerKernel } from './kernels.js'
import { layerMemories } from './layerMemory.js'
import { integerNotes, modelNotes, shortened } from './planNotes.js'
import { PLAN_VERSION } from './planVersion.js'
import { type PreparedModel, preparedModel } from './preparedModel.js'
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
  const model =
    source instanceof Uint8Array ? await openModel(source, options.readExternalData, options.signal) : source
  const inputs = givenInputs(options.inputs ?? {}, model.inputs)
  return planOf(model, settings, inputs, options.signal)
}

async function planOf(
  source: Model,
  settings: Settings,
  inputs: readonly GivenInput[],
  signal: AbortSignal | undefined,
): Promise<ModelPlan> {
  const pause = createPauses(signal)
  const { model, resolved } = await resolvedModel(source, inputs)
  const prepared = await preparedModel(model, settings.foldBatchNorm, signal)
  const { graph, folded, bytesIn } = prepared
  await pause()
  const { layers, skipped } = findLayers(graph, settings)
  if (layers.length === 0) throw nothingToQuantize(prepared, skipped)
  const levels = levelsByLayer(layers, skipped, settings)
  await pause()
  const kernels = kernelsByLayer(graph, layers, skipped, levels, settings)
  const integers = integersOf(graph, layers, (layer) => kernels.get(layer)!, settings)
  const planned: Omit<PlanLayer, 'memoryBytes' | 'parts'>[] = []
  for (const layer of layers) {
    await pause()
    const own = planLayer(graph, layer, levels.get(layer) ?? settings.levels, settings, kernels.get(layer)!)
    planned.push({ ...own, fixed: levels.has(layer) })
  }
  const byName = new Map(planned.map((layer) => [layer.name, layer]))
  const memories = layerMemories(
    graph,
    layers,
    ({ name }) => byName.get(name)!,
    integers.tensors,
    { settings, bytesIn },
    1,
  )
  const stages = planStages(graph, layers, integers.tensors)
  await pause()
  return {
    version: PLAN_VERSION,
    settings,
    inputs,
    opset: model.opset,
    bytesIn,
    foldedBatchNorms: folded,
    layers: planned.map((layer) => {
      const { bytes, parts } = memories.get(layer.name)!
      return { ...layer, memoryBytes: bytes, parts }
    }),
    stages: stages.map(({ ranges, quantize, replay }) => ({
      ranges,
      quantize: quantize.map(({ name }) => name),
      replay,
    })),
    skipped,
    floats: accountFloats({
      file: prepared.whole,
      graph,
      layers,
      skipped: [...skipped, ...prepared.keptBatchNorms],
      renamed: prepared.renamed,
      sources: prepared.sources,
    }),
    notes: [
      ...resolvedNotes(inputs, resolved),
      ...modelNotes(model.externalData, prepared, layers),
      ...integerNotes(graph, settings, integers),
    ],
  }
}

/** Reasons that an error lists at most: the float tensors with the most bytes come first. */
const MOST_REASONS = 5

/** Why nothing is quantized: for the nodes with weights and for the float tensors of the file, the largest first. */
function nothingToQuantize(prepared: PreparedModel, skipped: readonly Skipped[]): GpfqError {
  const { whole, graph, renamed, sources } = prepared
  const quantized = quantizedAlready(graph)
  if (quantized !== null)
    return new GpfqError('NOTHING_TO_QUANTIZE', { place: 'model', ...describeQuantized(quantized) })
  const { kept, bytes } = accountFloats({ file: whole, graph, renamed, sources, layers: [], skipped })
  const nodes = skipped.map(({ name, reason }) => `'${shortened(name)}': ${shortened(reason)}`)
  const tensors = kept.map((entry) => `${shortened(entry.place)}: ${shortened(entry.reason)}`)
  const why = [...new Set([...nodes, ...tensors])]
  const more = why.length > MOST_REASONS ? `; and ${why.length - MOST_REASONS} more` : ''
  return new GpfqError('NOTHING_TO_QUANTIZE', {
    place: 'model',
    expected: 'at least one Conv, Gemm, MatMul, LSTM, GRU or RNN with constant weights',
    got:
      why.length === 0
        ? 'none'
        : `none of ${bytes} bytes of float values (${why.slice(0, MOST_REASONS).join('; ')}${more})`,
  })
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
): Omit<PlanLayer, 'fixed' | 'memoryBytes' | 'parts'> {
  const blockSize = blockSizeOf(settings.scalePer, layer.inputs)
  const { format, reason, bytes } =
    kernel.kernel === 'int8'
      ? integerFormat(layer, levels, integerFormatOf(settings.format))
      : chooseFormat(graph, layer, levels, blockSize, settings.format)
  const { name, op, weight, groups, inputs, neurons, rounded } = layer
  return {
    ...{ name, op, weight, groups, inputs, neurons, rounded, levels, blockSize },
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
function codeBits(
  { inputs, rounded }: Layer,
  levels: number,
  blockSize: number,
  { redundancy }: Settings,
): number {
  const codes = redundancy === null || rounded !== null ? inputs : coefficientsOf(inputs, redundancy)
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
      ...{ fixed: planned.fixed, memoryBytes: planned.memoryBytes, parts: planned.parts },
    })),
  }
}
