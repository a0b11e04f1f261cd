/**
 * `gpfq inspect`: the layers of a model, which of them would be quantized, and why the others would not; or what a file of
 * observations holds, or how far the run of a checkpoint came.
 */
import type { Command } from 'commander'
import { readBytes } from '../data/files.js'
import { kernelsByLayer, type LayerKernel } from '../model/kernels.js'
import { quantizedNotes, webGpuNotes } from '../model/planNotes.js'
import { resolveSettings } from '../model/settings.js'
import { describeNote, type Note } from '../notes.js'
import { accountFloats, type FloatAccount } from '../onnx/floatAccount.js'
import { foldBatchNorms } from '../onnx/foldBatchNorm.js'
import { foldWeights, homeKey, madeOf } from '../onnx/foldWeights.js'
import { type FormatOption, formatsFor } from '../onnx/formats/choose.js'
import { type GraphIndex, indexGraph } from '../onnx/graph.js'
import type { Layer, Skipped } from '../onnx/layer.js'
import { findLayers, homeOf } from '../onnx/layers.js'
import { graphOf } from '../onnx/model.js'
import { declaredValue } from '../onnx/openModel.js'
import { likelyStates } from '../onnx/stateNames.js'
import { checkValues } from '../onnx/tensor.js'
import { createPauses } from '../platform/pauses.js'
import { namedTensors } from '../tensor/named.js'
import { describeShape } from '../tensor/shapes.js'
import type { RunnerInput } from '../tensor/tensor.js'
import { checkpointLines, inspectCheckpoint, isFolder } from './checkpoint.js'
import { type CommandContext, printJson } from './command.js'
import { floatLines } from './floats.js'
import { openModel } from './model.js'
import { formatBytes } from './numbers.js'
import { inspectPart, partLines } from './observations.js'
import { shapeOf } from './progress.js'
import { kernelLines, roundedLines, skippedLines } from './report.js'
import { formatTable } from './table.js'
import { printable } from './terminal.js'

/** The number of levels that formats are shown for: the default of quantize. */
const LEVELS = 15

interface InspectValues {
  readonly json?: boolean
}

interface Inspection {
  readonly model: string
  readonly bytes: number
  readonly opset: number
  readonly irVersion: number
  readonly inputs: readonly RunnerInput[]
  readonly outputs: readonly string[]
  /** Outputs that look like the next value of an input → these inputs. */
  readonly states: Readonly<Record<string, string>>
  readonly weights: number
  /** BatchNormalization nodes that quantize would fold into the weights before them. */
  readonly foldableBatchNorms: readonly string[]
  /** With the kernel that quantize --activations 8 would run each on, and why. */
  readonly layers: readonly (LayerKernel & {
    readonly name: string
    readonly op: Layer['op']
    readonly weight: string
    readonly groups: number
    readonly inputs: number
    readonly neurons: number
    /** Stored tensors that nodes make the weight of by picking and joining; empty for a stored one. */
    readonly madeOf: readonly string[]
    /** Nodes that read the weight. */
    readonly uses: readonly string[]
    /** Why the weight would be rounded; null where calibration reaches it. */
    readonly rounded: string | null
    /** Formats that can store it, at LEVELS values and one scale per neuron. */
    readonly formats: readonly FormatOption[]
  })[]
  readonly skipped: readonly Skipped[]
  /** All float values of the file: in layers, or left and why. */
  readonly floats: FloatAccount
  /** That the model is quantized already, if it is, and what of it WebGPU computes otherwise. */
  readonly notes: readonly Note[]
}

export function addInspectCommand(program: Command, context: CommandContext): void {
  program
    .command('inspect')
    .summary('layers of a model, what would be quantized and what not and why')
    .description(
      'Lists the layers of a model and the formats that can store each, describes observations of a layer, or says how far a run with --checkpoint came. Nothing is run or written.',
    )
    .argument(
      '<FILE>',
      'a model (.onnx), what gpfq layer --observe wrote, or a folder of quantize --checkpoint',
    )
    .option('--json', 'print one JSON document to stdout')
    .addHelpText(
      'before',
      'Examples:\n  gpfq inspect model.onnx\n  gpfq inspect model.onnx --json | jq .layers\n  gpfq inspect part.obs\n  gpfq inspect run1/\n',
    )
    .action((path: string, values: InspectValues) => runInspect(path, values, context))
}

async function runInspect(path: string, values: InspectValues, context: CommandContext): Promise<void> {
  const terminal = context.terminal()
  if (isFolder(path)) {
    const state = await inspectCheckpoint(path)
    if (values.json) printJson(terminal, { checkpoint: path, ...state })
    else for (const line of checkpointLines(path, state, terminal)) terminal.result(line)
    return
  }
  const bytes = await readBytes(path)
  const part = inspectPart(path, bytes)
  if (part !== null) {
    if (values.json) printJson(terminal, part)
    else for (const line of partLines(part)) terminal.result(line)
    return
  }
  const inspection = await inspect(path, bytes, context.signal)
  if (values.json) return printJson(terminal, inspection)
  const { layers, inputs, outputs, states, foldableBatchNorms, skipped } = inspection
  terminal.result(
    `${printable(path)}  ${formatBytes(inspection.bytes)}, opset ${inspection.opset}, IR ${inspection.irVersion}`,
  )
  for (const note of inspection.notes) terminal.result(`note: ${printable(describeNote(note))}`)
  for (const { name, type, dims } of inputs)
    terminal.result(printable(`input   ${name}: ${type} ${describeShape(dims)}`))
  for (const name of outputs) {
    const input = Object.hasOwn(states, name) ? states[name] : undefined
    const hint = input === undefined ? '' : `: perhaps a state, --carry ${name}=${input}`
    terminal.result(`output  ${printable(`${name}${hint}`)}`)
  }
  terminal.result('')
  const table = formatTable(
    [
      { title: 'layer', shrinks: true },
      { title: 'op' },
      { title: 'inputs×neurons', align: 'right' },
      { title: 'uses', align: 'right' },
      { title: `formats at ${LEVELS} levels` },
      { title: 'kernel' },
      { title: 'weight', optional: true },
    ],
    layers.map((layer) => [
      layer.name,
      layer.op,
      shapeOf(layer),
      String(layer.uses.length),
      possibleFormats(layer.formats),
      layer.kernel,
      layer.weight,
    ]),
    terminal.columns,
  )
  for (const line of table) terminal.result(line)
  terminal.result('')
  terminal.result(
    `${layers.length} layers with ${inspection.weights.toLocaleString('en')} weights can be quantized`,
  )
  if (foldableBatchNorms.length > 0)
    terminal.result(
      `${foldableBatchNorms.length} BatchNormalization nodes can be folded into the weights before them`,
    )
  terminal.result('')
  terminal.result('kernel with quantize --activations 8:')
  for (const line of kernelLines(layers)) terminal.result(`  ${line}`)
  for (const line of roundedLines(layers)) terminal.result(line)
  for (const line of skippedLines(skipped)) terminal.result(line)
  for (const line of madeLines(layers)) terminal.result(line)
  for (const line of floatLines(inspection.floats)) terminal.result(line)
}

/** Weights that are listed with what they are made of, and tensors of each, at most. */
const MOST_MADE = 10

function madeLines(layers: Inspection['layers']): readonly string[] {
  const made = new Map(
    layers.flatMap((layer) => (layer.madeOf.length === 0 ? [] : [[layer.weight, layer.madeOf] as const])),
  )
  if (made.size === 0) return []
  const lines = [...made].slice(0, MOST_MADE).map(([weight, sources]) => {
    const more = sources.length > MOST_MADE ? ` and ${sources.length - MOST_MADE} more` : ''
    return printable(`  ${weight}: ${sources.slice(0, MOST_MADE).join(', ')}${more}`)
  })
  const rest = made.size > MOST_MADE ? [`  ${made.size - MOST_MADE} more`] : []
  return ['weights that nodes make of stored tensors:', ...lines, ...rest]
}

function possibleFormats(formats: readonly FormatOption[]): string {
  return formats
    .filter(({ possible }) => possible)
    .map(({ format }) => format)
    .join(' ')
}

/**
 * What a model holds.
 * @throws {GpfqError} as openModel, and INVALID_MODEL for nodes and tensors that contradict themselves
 */
export async function inspect(path: string, bytes: Uint8Array, signal: AbortSignal): Promise<Inspection> {
  const pause = createPauses(signal)
  const opened = await openModel(path, bytes)
  const { proto: model } = await opened.whole()
  for (const tensor of graphOf(model).initializer) checkValues(tensor)
  const { model: ownWeights, sources } = foldWeights(model)
  const { model: foldedModel, folded, kept, renamed } = foldBatchNorms(ownWeights)
  const graph = indexGraph(foldedModel)
  await pause()
  const { layers, skipped } = findLayers(graph)
  const settings = resolveSettings({ levels: LEVELS, activations: { bits: 8 } })
  const kernels = kernelsByLayer(graph, layers, skipped, new Map(), settings)
  const made = madeOf({ sources })
  const described: Inspection['layers'][number][] = []
  for (const layer of layers) {
    await pause()
    const home = homeOf(graph, layer)
    const stored = { ...home, name: renamed.get(home.name) ?? home.name }
    described.push(describeLayer(graph, layer, kernels.get(layer)!, made.get(homeKey(stored)) ?? []))
  }
  return {
    model: path,
    bytes: opened.byteLength,
    opset: opened.opset,
    irVersion: Number(model.irVersion),
    inputs: opened.inputs,
    outputs: opened.outputs,
    states: namedTensors(likelyStates(opened.inputs, graphOf(model).output.map(declaredValue))),
    weights: layers.reduce((sum, { groups, inputs, neurons }) => sum + groups * inputs * neurons, 0),
    foldableBatchNorms: folded,
    layers: described,
    skipped: [...skipped, ...kept],
    floats: accountFloats({ file: model, graph, layers, skipped: [...skipped, ...kept], renamed, sources }),
    notes: [...quantizedNotes(graph), ...webGpuNotes(graph)],
  }
}

function describeLayer(
  graph: GraphIndex,
  layer: Layer,
  kernel: LayerKernel,
  sources: readonly string[],
): Inspection['layers'][number] {
  const { name, op, weight, groups, inputs, neurons, uses, unsampled, rounded } = layer
  return {
    ...{ name, op, weight, groups, inputs, neurons },
    madeOf: sources,
    uses: [...uses, ...unsampled].map(({ node }) => node),
    rounded,
    formats: formatsFor(graph, layer, LEVELS, inputs),
    ...kernel,
  }
}
