/** `gpfq quantize`: quantizes an ONNX model, and reports the error of each layer. */
import { basename, dirname, join } from 'node:path'
import { type Command, Option } from 'commander'
import { createRunner } from '../calibration/onnxRuntime.js'
import type { FeedSet } from '../data/feeds.js'
import { splitData } from '../data/files.js'
import { checkOutput, writeBytes } from '../data/output.js'
import { planModel, quantizePlanned } from '../model/quantizeModel.js'
import { needsCalibration, resolveSettings, SAMPLE_WEIGHTS, type Settings } from '../model/settings.js'
import { FORMATS, type Format } from '../onnx/layer.js'
import type {
  ActivationOptions,
  ActivationRanges,
  KernelFor,
  ModelPlan,
  QuantizeReport,
  SampleWeights,
} from '../options.js'
import { describeSetting } from '../report/describeSetting.js'
import { renderReport } from '../report/page.js'
import type { RunnerInput } from '../tensor/tensor.js'
import { calibrationReason } from './calibration.js'
import { addCheckpointOptions, type CheckpointValues, checkCheckpoint, keeping } from './checkpoint.js'
import { addClusterOptions, type ClusterValues, checkCluster, spreading } from './cluster.js'
import { type CommandContext, printJson } from './command.js'
import { checkCarried, openFeeds, openSources, switchInputs, withStates } from './data.js'
import { checkDistinct } from './distinct.js'
import { quantizedShare } from './floats.js'
import { chosenMethod } from './methodOptions.js'
import { openModel } from './model.js'
import {
  type AlphabetValues,
  addAlphabetOptions,
  addDataOptions,
  addKernelOptions,
  addMemoryOption,
  checkSettings,
  chosenLevels,
  chosenThreads,
  DATA,
  type DataValues,
  feedOptions,
} from './options.js'
import { showQuantizing } from './progress.js'
import { planLines, precisionLines, reportLines } from './report.js'
import { printable, type Terminal } from './terminal.js'
import { UsageError } from './usage.js'
import {
  collectBitsFor,
  collectGlob,
  collectKernelFor,
  given,
  kebab,
  parseActivations,
  parseRanges,
  positiveNumber,
  whole,
} from './values.js'

/** What Node and ONNX Runtime take for themselves. */
const OWN_BYTES = 350e6

interface QuantizeValues extends AlphabetValues, DataValues, CheckpointValues, ClusterValues {
  readonly calib?: readonly string[]
  readonly test?: readonly string[]
  readonly output?: string
  readonly format?: Format | 'auto'
  readonly patches?: number
  readonly sampleWeights?: SampleWeights
  readonly randomPatches?: number
  readonly perChannel?: boolean
  readonly holdout?: number
  readonly include?: readonly string[]
  readonly exclude?: readonly string[]
  readonly targetSize?: number
  readonly targetBits?: number
  readonly bitsFor?: readonly { pattern: string; levels: number }[]
  readonly activations?: 8
  readonly activationsFor?: readonly KernelFor[]
  readonly ranges?: ActivationRanges
  readonly byteInputs?: boolean
  readonly biasCorrection?: boolean
  readonly foldBn: boolean
  readonly memory?: number
  readonly threads?: number
  readonly fastMath?: boolean
  readonly report?: string
  readonly dryRun?: boolean
  readonly json?: boolean
  readonly quiet?: boolean
  readonly force?: boolean
}

/** Calibration samples without --samples, as for the CIFAR-10 networks of docs/ACCURACY.md. */
const DEFAULT_SAMPLES = 1024

export function addQuantizeCommand(program: Command, context: CommandContext): void {
  const command = program
    .command('quantize')
    .summary('quantize the weights of a model')
    .description(
      'Quantizes the weights of Conv, Gemm and MatMul by greedy path following, without retraining.',
    )
    .argument('<MODEL.onnx>', 'the float model; it is not changed')
    .option('--calib <DATA...>', `calibration inputs: ${DATA}`)
    .option('-o, --output <OUT.onnx>', 'the quantized model to write')
  addAlphabetOptions(command)
  addRowOptions(command)
    .addOption(
      new Option('--format <name>', 'how weights are stored in the file (default: auto)').choices(FORMATS),
    )
    .option('--per-channel', 'each channel of a convolution its own path, as in arXiv 2010.15979')
    .option('--include <GLOB>', 'only layers whose node or weight name matches (repeatable)', collectGlob)
    .option('--exclude <GLOB>', 'leave matching layers float (repeatable)', collectGlob)
    .option(
      '--bits-for <GLOB=BITS>',
      'other bits for matching layers, the last match wins (repeatable)',
      collectBitsFor,
    )
    .addOption(
      new Option(
        '--target-size <share>',
        "2 to 8 bits a layer, chosen by what it loses: at most this share of the weights' bytes",
      )
        .argParser(positiveNumber)
        .conflicts(['bits', 'levels', 'targetBits']),
    )
    .addOption(
      new Option('--target-bits <b>', 'the same, for b bits per weight on average')
        .argParser(positiveNumber)
        .conflicts(['bits', 'levels']),
    )
    .addOption(
      new Option(
        '--activations <bits>',
        'quantize activations too, to 8 bits: layers run on integers where that is faster',
      ).argParser(parseActivations),
    )
    .option(
      '--activations-for <GLOB=8|float>',
      'integers or floats for matching layers, the last match wins (repeatable)',
      collectKernelFor,
    )
    .option(
      '--ranges <rule>',
      'how ranges of activations are found: minmax, percentile:P, mse or search (default: minmax)',
      parseRanges,
    )
    .option(
      '--byte-inputs',
      'with --activations: inputs that layers on integers read become bytes, uint8, instead of floats',
    )
    .option('--bias-correction', 'add the mean output error of each layer to its bias')
    .option('--no-fold-bn', 'do not fold BatchNormalization into the weights before it')
  addDataOptions(command, String(DEFAULT_SAMPLES))
  addJudgingOptions(command)
  addClusterOptions(addCheckpointOptions(addMemoryOption(addKernelOptions(command))))
    .option('--report <FILE>', 'write the full report: .json for programs, .html with pictures for people')
    .option('--dry-run', 'show what would be done and stop')
    .option('--json', 'print the report as one JSON document to stdout')
    .option('--quiet', 'say nothing but results and errors')
    .option('--force', 'overwrite existing files')
    .addHelpText('before', EXAMPLES)
    .action((model: string, values: QuantizeValues) => runQuantize(model, values, context))
}

/** Which sample rows of a layer count, and how much. */
function addRowOptions(command: Command): Command {
  return command
    .option('--patches <N>', 'at most N sample rows per convolution, 0 for all (default: 32768)', (text) =>
      whole(text, 0),
    )
    .addOption(
      new Option(
        '--random-patches <p>',
        'instead: share p of the patches that do not overlap, drawn by --seed, 1 for all',
      )
        .argParser(positiveNumber)
        .conflicts('patches'),
    )
    .addOption(
      new Option(
        '--sample-weights <name>',
        'norm: sample rows of a layer count alike, whatever their size (default: none)',
      ).choices(SAMPLE_WEIGHTS),
    )
}

function addJudgingOptions(command: Command): void {
  command
    .option(
      '--holdout <N>',
      'keep N samples out of calibration, to judge layers and network on them (default: an eighth)',
      (text) => whole(text, 0),
    )
    .addOption(
      new Option('--test <DATA...>', 'judge on these inputs instead, given as those of --calib').conflicts(
        'holdout',
      ),
    )
}

const EXAMPLES = `Examples:
  gpfq quantize model.onnx --calib images.npy.gz --scale 255 --bits 4 -o model-4bit.onnx
  gpfq quantize model.onnx --calib photos/ --scale 127.5 --mean 1 --levels 3 --bits-for 'conv1*=8' -o small.onnx
  gpfq quantize model.onnx --dry-run
`

async function runQuantize(path: string, values: QuantizeValues, context: CommandContext): Promise<void> {
  const terminal = context.terminal(values.quiet === true)
  const { signal } = context
  const force = values.force === true
  const { output } = values
  const settings = {
    foldBatchNorm: values.foldBn,
    threads: chosenThreads(values),
    fastMath: values.fastMath === true,
    ...chosenMethod(values),
    ...given({
      levels: chosenLevels(values),
      levelsFor: values.bitsFor,
      targetSize: values.targetSize,
      targetBits: values.targetBits,
      scalePer: values.scalePer,
      radius: values.radius,
      format: values.format,
      patches: values.patches,
      randomPatches: values.randomPatches,
      sampleWeights: values.sampleWeights,
      perChannel: values.perChannel,
      holdout: values.holdout,
      include: values.include,
      exclude: values.exclude,
      activations: chosenActivations(values),
      biasCorrection: values.biasCorrection,
      memory: values.memory === undefined ? undefined : Math.max(1, values.memory - OWN_BYTES),
    }),
  }
  const outputs = { '-o': output, '--report': values.report }
  checkSettings(settings)
  if (values.dryRun !== true) {
    if (!output) throw new UsageError('-o OUT.onnx: expected a file to write, got none')
    checkCalibration(values, resolveSettings(settings))
    checkDistinct(outputs, {
      'the model': path,
      '--calib': values.calib?.map((argument) => splitData(argument).path),
      '--test': values.test?.map((argument) => splitData(argument).path),
    })
    for (const file of Object.values(outputs)) if (file !== undefined) checkOutput(file, force)
    checkCheckpoint(values)
    checkCluster(values, settings.fastMath)
  }
  const model = await openModel(path)
  checkCarried(values, model)
  const inputs = switchInputs(model.inputs, values)
  const plan = await planModel(model, { ...settings, inputs, signal })
  echo(terminal, path, values, plan)
  if (values.dryRun) {
    if (values.json) printJson(terminal, { model: path, ...plan })
    else for (const line of planLines(plan, terminal)) terminal.result(line)
    return
  }

  checkDistinct(outputs, {
    "the model's external data": model.externalData.map((file) => join(dirname(path), file)),
  })
  const open = (data: readonly string[] | undefined): Promise<FeedSet | undefined> =>
    openSamples(data ?? [], model.inputs, values, context, terminal)
  const [feeds, test] = [await open(values.calib), await open(values.test)]
  if (feeds !== undefined) terminal.say(setting('samples', `${feeds.samples} of ${feeds.available}`))
  const runner = await createRunner({ threads: settings.threads })
  terminal.say(setting('runner', runner.name))
  const states = { model, runner, terminal, signal }
  const samples = given({
    calibration: await withStates(feeds, values, states),
    test: await withStates(test, values, states),
  })
  const { model: bytes, report } = await keeping(values, terminal, (checkpoint) =>
    spreading(values, { terminal, signal }, (cluster) =>
      quantizePlanned(model, plan, {
        ...{ ...settings, ...samples, ...checkpoint, ...cluster, runner, signal },
        onProgress: showQuantizing(terminal),
      }),
    ),
  )
  terminal.redraw('')
  signal.throwIfAborted()
  if (output === undefined) throw new UsageError('-o OUT.onnx: expected a file to write, got none')
  const notes = [...(await writeBytes(output, bytes, force))]
  if (values.report !== undefined)
    notes.push(...(await writeBytes(values.report, reportFile(values.report, path, output, report), force)))
  for (const note of notes) terminal.say(`note: ${printable(note)}`)
  if (values.json) return printJson(terminal, quantizeDocument(path, output, report))
  if (values.quiet) return
  for (const line of precisionLines(report)) terminal.result(line)
  for (const line of reportLines(report, terminal)) terminal.result(line)
  terminal.say(`${printable(output)} written`)
}

async function openSamples(
  data: readonly string[],
  inputs: readonly RunnerInput[],
  values: QuantizeValues,
  { signal }: CommandContext,
  terminal: Terminal,
): Promise<FeedSet | undefined> {
  const sources = await openSources(data, inputs)
  const options = { ...feedOptions(values), samples: values.samples ?? DEFAULT_SAMPLES }
  return sources.length === 0 ? undefined : openFeeds(sources, inputs, options, { terminal, signal })
}

/** The options of activations; undefined where weights alone are quantized. */
function chosenActivations({
  activations,
  activationsFor,
  ranges,
  byteInputs,
}: QuantizeValues): ActivationOptions | undefined {
  if (activations !== undefined)
    return { bits: activations, ...given({ ranges, byteInputs, for: activationsFor }) }
  const others = { '--ranges': ranges, '--activations-for': activationsFor, '--byte-inputs': byteInputs }
  const other = Object.entries(others).find(([, value]) => value !== undefined)?.[0]
  if (other === undefined) return undefined
  throw new UsageError(`${other}: expected --activations 8 together with it, got none`)
}

/** Checked before the model is read, so that a forgotten option costs no time. */
function checkCalibration(values: QuantizeValues, settings: Settings): void {
  if (values.calib === undefined && needsCalibration(settings))
    throw new UsageError(
      `--calib DATA: expected calibration samples, got none; ${calibrationReason(settings)}`,
    )
}

/** Prints the effective settings before anything runs. */
function echo(terminal: Terminal, path: string, values: QuantizeValues, plan: ModelPlan): void {
  terminal.say(`gpfq quantize ${printable(path)}`)
  const rows: [string, string][] = [
    ['output', values.output ?? '–'],
    ['calibration', values.calib?.join(', ') ?? 'none'],
    ...Object.entries(plan.settings).map(([key, value]): [string, string] => [key, describeSetting(value)]),
    ['layers', `${plan.layers.length} to quantize, with ${quantizedShare(plan.floats)} of the float bytes`],
  ]
  for (const [key, text] of rows) terminal.say(setting(key, text))
}

/** One line of the settings. */
function setting(key: string, text: string): string {
  return `  ${kebab(key).padEnd(15)} ${printable(text)}`
}

/** The text of --report: a page with pictures if the file's name ends in .html, else JSON. */
function reportFile(file: string, path: string, output: string, report: QuantizeReport): string {
  if (/\.html?$/i.test(file)) return renderReport({ model: basename(path), output: basename(output), report })
  return `${JSON.stringify({ model: path, output, ...report }, null, 2)}\n`
}

/** The document of --json. Its keys are stable; the file of --report may have more. */
function quantizeDocument(model: string, output: string, report: QuantizeReport) {
  const { bytesIn, bytesOut, threads, fastMath, settings, skipped, seconds, heldOut, speed } = report
  const { peakMemoryBytes, processBytes } = report
  const layers = report.layers.map((layer) => ({
    name: layer.name,
    op: layer.op,
    inputs: layer.inputs,
    neurons: layer.neurons,
    groups: layer.groups,
    rounded: layer.rounded,
    samples: layer.samples,
    levels: layer.levels,
    codeBits: layer.codeBits,
    format: layer.format,
    kernel: layer.kernel,
    ranges: layer.ranges,
    kernelReason: layer.kernelReason,
    relativeError: layer.relativeError,
    sqnrDb: layer.sqnrDb,
    heldOutError: layer.heldOutError,
    judgement: layer.judgement,
    seconds: layer.seconds,
  }))
  const machine = { threads, fastMath }
  return {
    model,
    output,
    bytesIn,
    bytesOut,
    ...machine,
    settings,
    layers,
    skipped,
    seconds,
    heldOut,
    speed,
    peakMemoryBytes,
    processBytes,
  }
}
