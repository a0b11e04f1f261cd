/** Notes of a plan about the model as it is: what a caller should know before anything runs. */
import type { Note } from '../notes.js'
import type { IntegerPlan } from '../onnx/activations/integers.js'
import { homeKey } from '../onnx/foldWeights.js'
import type { GraphIndex } from '../onnx/graph.js'
import type { Layer } from '../onnx/layer.js'
import { floatCopies, weightMagnitude } from '../onnx/layers.js'
import { graphOf } from '../onnx/model.js'
import { onWebGpu } from '../onnx/onWebGpu.js'
import { describeQuantized, quantizedAlready } from '../onnx/quantizedAlready.js'
import type { PreparedModel } from './preparedModel.js'
import type { Settings } from './settings.js'

/** Weights below lose bits as float32, and so do their scales; sums of products with those above overflow. */
const EXTREME = { least: 1e-36, most: 1e36 } as const

/** Entries that a note lists at most. */
const MOST_LISTED = 5

/** Characters of a name or reason in a list at most. */
const LONGEST = 200

/** A text of bounded length, for lists: names come from the model. */
export const shortened = (text: string): string =>
  text.length <= LONGEST ? text : `${text.slice(0, LONGEST)}…`

/** @param externalData paths of files beside the model */
export const modelNotes = (
  externalData: readonly string[],
  prepared: PreparedModel,
  layers: readonly Layer[],
): readonly Note[] => [
  ...quantizedNotes(prepared.graph),
  ...embeddedNotes(externalData),
  ...copyNotes(prepared.graph, layers),
  ...overridableNotes(prepared, layers),
  ...batchNormNotes(prepared),
  ...extremeNotes(prepared.graph, layers),
]

/** Layers can be left of a model that is quantized already, those that were excluded for instance. */
export function quantizedNotes(graph: GraphIndex): readonly Note[] {
  const quantized = quantizedAlready(graph)
  if (quantized === null) return []
  const { problem, hint } = describeQuantized(quantized)
  return [{ code: 'QUANTIZED_ALREADY', place: 'model', text: `${problem}; ${hint}` }]
}

/** What of a file WebGPU does not compute as it is written. */
export const webGpuNotes = (graph: GraphIndex): readonly Note[] =>
  onWebGpu(graph).map((text) => ({ code: 'WEBGPU_DIFFERS', place: 'on WebGPU', text }))

const embeddedNotes = (external: readonly string[]): readonly Note[] =>
  external.length === 0
    ? []
    : [
        {
          code: 'EXTERNAL_DATA_EMBEDDED',
          place: null,
          text: `external data (${listed(external)}) is written into the model file`,
        },
      ]

const copyNotes = (graph: GraphIndex, layers: readonly Layer[]): readonly Note[] =>
  floatCopies(graph, layers).map(({ weight, reader }) => ({
    code: 'FLOAT_COPY_KEPT',
    place: `'${weight}'`,
    text: `stays in the file as it is, too, since ${reader} reads it`,
  }))

/** Up to IR version 3 every initializer is declared as an input; from 4 on that lets a caller replace it. */
const IR_WITH_DECLARED_INITIALIZERS = 3

function overridableNotes(
  { whole, renamed, sources }: PreparedModel,
  layers: readonly Layer[],
): readonly Note[] {
  if (whole.irVersion <= IR_WITH_DECLARED_INITIALIZERS) return []
  const inputs = new Set(graphOf(whole).input.map(({ name }) => name))
  const weights = new Set(layers.map(({ weight }) => renamed.get(weight) ?? weight))
  for (const name of inputs) if (sources.has(homeKey({ graph: 0, name }))) weights.add(name)
  const overridable = [...weights].filter((weight) => inputs.has(weight)).map((weight) => `'${weight}'`)
  if (overridable.length === 0) return []
  const text = `inputs of the model with these names (${listed(overridable)}) are gone: their weights are constants now`
  return [{ code: 'WEIGHTS_NOT_INPUTS', place: null, text }]
}

function batchNormNotes({ keptBatchNorms }: PreparedModel): readonly Note[] {
  if (keptBatchNorms.length === 0) return []
  const entries = keptBatchNorms.map(({ name, reason }) => `'${shortened(name)}': ${shortened(reason)}`)
  const text = `BatchNormalizations that stay as they are: ${listed(entries, '; ')}`
  return [{ code: 'BATCH_NORMS_KEPT', place: null, text }]
}

function extremeNotes(graph: GraphIndex, layers: readonly Layer[]): readonly Note[] {
  return layers.flatMap((layer): Note[] => {
    const most = weightMagnitude(graph, layer)
    if (most === 0 || (most >= EXTREME.least && most <= EXTREME.most)) return []
    const text =
      `its weights are ${most < 1 ? 'as small as' : 'as large as'} ${most.toExponential(1)}, where float32 loses bits or ` +
      'overflows: scale them before quantizing'
    return [{ code: 'WEIGHTS_EXTREME', place: `layer '${layer.name}'`, text }]
  })
}

/** What a caller who wants integers may want to know: that there are none, and that inputs could be bytes. */
export function integerNotes(
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

function listed(entries: readonly string[], separator = ', '): string {
  const first = entries.slice(0, MOST_LISTED).map(shortened).join(separator)
  return entries.length <= MOST_LISTED
    ? first
    : `${first}${separator}and ${entries.length - MOST_LISTED} more`
}
