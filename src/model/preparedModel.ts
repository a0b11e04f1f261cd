/**
 * A model as both networks start from it: external data resolved, BatchNormalization folded where that is asked for, and its
 * graph indexed. Done once for a model, however often it is planned and quantized.
 */
import type { ModelProto } from 'onnx-buf'
import { untilAborted } from '../aborts.js'
import { GpfqError } from '../errors.js'
import { chooseKernel } from '../onnx/activations/chooseKernel.js'
import { withNodeNames } from '../onnx/biasCorrection.js'
import { foldBatchNorms } from '../onnx/foldBatchNorm.js'
import { type FoldedWeights, foldWeights } from '../onnx/foldWeights.js'
import { formatsFor } from '../onnx/formats/choose.js'
import { type GraphIndex, indexGraph } from '../onnx/graph.js'
import type { Layer, Skipped } from '../onnx/layer.js'
import { findLayers, weightMagnitude } from '../onnx/layers.js'
import { graphOf } from '../onnx/model.js'
import { Network } from '../onnx/network.js'
import type { Model } from '../onnx/openModel.js'
import { planStages, type Stage } from '../onnx/stages.js'
import { checkValues } from '../onnx/tensor.js'
import type { ModelPlan, PlanLayer } from '../options.js'
import { yieldToEventLoop } from '../platform/yieldToEventLoop.js'
import { resolvedModel } from './givenInputs.js'
import { integersOf } from './kernels.js'
import { PLAN_VERSION } from './planVersion.js'
import { unitFor } from './requests.js'
import { type Settings, wrongSetting } from './settings.js'

export interface PreparedModel {
  readonly proto: ModelProto
  readonly graph: GraphIndex
  /** The model before anything was folded, with all of its values. */
  readonly whole: ModelProto
  /** Names of the BatchNormalizations that were folded. */
  readonly folded: readonly string[]
  /** BatchNormalizations that could not be folded, and why; none where that was not asked for. */
  readonly keptBatchNorms: readonly Skipped[]
  /** Weights that folding stores under another name → the name in the file. */
  readonly renamed: ReadonlyMap<string, string>
  /** Stored tensors of the file that weights are made of. */
  readonly sources: FoldedWeights['sources']
  /** Of the model's file and its external data. */
  readonly bytesIn: number
}

const prepared = new WeakMap<Model, Map<boolean, Promise<PreparedModel>>>()

/** @throws GpfqError INVALID_DATA, INVALID_MODEL where external data cannot be had; the signal's reason */
export function preparedModel(
  model: Model,
  foldBatchNorm: boolean,
  signal: AbortSignal | undefined,
): Promise<PreparedModel> {
  const known = prepared.get(model) ?? new Map<boolean, Promise<PreparedModel>>()
  prepared.set(model, known)
  let result = known.get(foldBatchNorm)
  if (result === undefined) {
    result = prepare(model, foldBatchNorm)
    known.set(foldBatchNorm, result)
    // A failed result is not cached; the next call tries again.
    result.catch(() => known.delete(foldBatchNorm))
  }
  return untilAborted(signal, result)
}

async function prepare(model: Model, foldBatchNorm: boolean): Promise<PreparedModel> {
  const { proto: whole, bytes } = await model.whole()
  for (const tensor of graphOf(whole).initializer) checkValues(tensor)
  await yieldToEventLoop()
  const { model: own, sources } = foldWeights(whole)
  await yieldToEventLoop()
  const none = { model: own, folded: [], kept: [], renamed: new Map<string, string>() }
  const { model: proto, folded, kept, renamed } = foldBatchNorm ? foldBatchNorms(own) : none
  await yieldToEventLoop()
  const graph = indexGraph(proto)
  if (graph.computedOutputs.includes('__proto__')) {
    const problem = 'ONNX Runtime for JavaScript cannot return an output of this name'
    throw new GpfqError('UNSUPPORTED_MODEL', { place: "output '__proto__'", problem, hint: 'rename it' })
  }
  return { proto, whole, graph, folded, keptBatchNorms: kept, renamed, sources, bytesIn: bytes }
}

/** A layer of the plan with the layer of the graph that it means. */
export interface PlannedLayer extends PlanLayer {
  readonly layer: Layer
  /** Its place among the plan's layers. */
  readonly index: number
  /** A power of two that the weights are multiplied by before they are solved: 1 unless they are at the ends of float32. */
  readonly unit: number
}

/** A model together with a plan that fits it. */
export interface PlannedModel {
  /** The model as it was opened. */
  readonly source: Model
  readonly plan: ModelPlan
  readonly graph: GraphIndex
  /** The float network that both streams start from. */
  readonly float: Network
  readonly layers: readonly PlannedLayer[]
  readonly byName: ReadonlyMap<string, PlannedLayer>
  readonly stages: readonly Stage[]
}

/**
 * Joins a plan with the model that it was made for.
 * @throws GpfqError INVALID_DATA where the plan is of another version or another model, or was changed to what cannot be
 * @throws RangeError, TypeError for settings out of range
 */
export async function joinPlan(
  source: Model,
  plan: ModelPlan,
  signal?: AbortSignal | undefined,
): Promise<PlannedModel> {
  const { settings, version } = plan
  if (version !== PLAN_VERSION) throw misfit('version', String(PLAN_VERSION), String(version))
  const wrong = wrongSetting(settings)
  if (wrong !== null) {
    const got = Object.entries(settings).find(([name]) => name === wrong.name)?.[1]
    throw misfit(
      `settings, ${wrong.name}`,
      JSON.stringify(wrong.expected) ?? 'nothing',
      String(JSON.stringify(got)),
    )
  }
  const { model } = await resolvedModel(source, plan.inputs)
  const { proto, graph } = await preparedModel(model, settings.foldBatchNorm, signal)
  const found = new Map(findLayers(graph).layers.map((layer) => [layer.name, layer]))
  const layers = plan.layers.map((planned, index): PlannedLayer => {
    const layer = found.get(planned.name)
    const wanted = describeLayer(planned)
    if (layer === undefined) throw misfit(`layer '${planned.name}'`, wanted, 'a model without it')
    if (describeLayer(layer) !== wanted) throw misfit(`layer '${planned.name}'`, wanted, describeLayer(layer))
    checkPlanned(graph, planned, layer, settings)
    return { ...planned, layer, index, unit: unitFor(weightMagnitude(graph, layer)) }
  })
  const byName = new Map(layers.map((planned) => [planned.name, planned]))
  const inGraph = layers.map(({ layer }) => layer)
  const integers = integersOf(graph, inGraph, ({ name }) => byName.get(name)!, settings)
  const stages = planStages(graph, inGraph, integers.tensors)
  return {
    ...{ source: model, plan, graph, layers, byName, stages },
    float: Network.of(settings.biasCorrection ? withNodeNames(proto) : proto, integers),
  }
}

/** What a plan that was changed may ask for: an alphabet that exists, paths that divide the inputs, a format that can be. */
function checkPlanned(graph: GraphIndex, planned: PlanLayer, layer: Layer, settings: Settings): void {
  const { name, levels, planes, blockSize, format, parts } = planned
  const place = (field: string): string => `layer '${name}', ${field}`
  if (!Number.isInteger(parts) || parts < 1 || parts > layer.neurons) {
    throw misfit(place('parts'), `an integer from 1 to ${layer.neurons}`, String(parts))
  }
  if (!Number.isInteger(levels) || levels < 2 || levels > 256) {
    throw misfit(place('levels'), 'an integer from 2 to 256', String(levels))
  }
  if (!Number.isInteger(layer.inputs / planes)) {
    throw misfit(place('planes'), `a divisor of ${layer.inputs} inputs`, String(planes))
  }
  if (planned.kernel === 'int8') {
    checkIntegers(graph, planned, layer, settings)
    return
  }
  const possible = formatsFor(graph, layer, levels, blockSize).filter((option) => option.possible)
  if (possible.some((option) => option.format === format)) return
  throw misfit(place('format'), `one of ${possible.map((option) => option.format).join(', ')}`, format)
}

/** A layer on integers: one that can be, in a format of int8 codes. */
function checkIntegers(graph: GraphIndex, planned: PlanLayer, layer: Layer, settings: Settings): void {
  const { name, ranges } = planned
  const possible = chooseKernel(graph, layer, planned, 'int8')
  const why = settings.activations === null ? 'settings without activations' : possible.reason
  if (settings.activations === null || possible.kernel === 'float')
    throw misfit(`layer '${name}', kernel`, 'float', `int8 (${why})`)
  if (ranges === possible.ranges) return
  throw misfit(`layer '${name}', ranges`, String(possible.ranges), String(ranges))
}

const describeLayer = ({
  op,
  weight,
  groups,
  inputs,
  neurons,
  rounded,
}: Omit<Layer, 'name' | 'uses' | 'unsampled'>): string =>
  `${op} of '${weight}', ${groups} × ${inputs} × ${neurons}${rounded === null ? '' : ', rounded'}`

const misfit = (place: string, expected: string, got: string): GpfqError =>
  new GpfqError('INVALID_DATA', { place: `plan, ${place}`, expected, got, hint: 'plan the model again' })
