/** `gpfq eval`: accuracy of a model on labelled data. */
import type { Command } from 'commander'
import { labelsOfFeeds, labelsOfFolders } from '../data/classes.js'
import { type DataSource, loadLabels } from '../data/feeds.js'
import { openData } from '../data/files.js'
import { type ClassEvaluation, evaluate, type SequenceEvaluation } from '../model/evaluate.js'
import type { Tensor } from '../tensor/tensor.js'
import { type CommandContext, printJson } from './command.js'
import { carryOf, checkCarried, openFeeds, openSources } from './data.js'
import { openModel } from './model.js'
import { formatPercent, formatSeconds } from './numbers.js'
import {
  addDataOptions,
  addThreadsOption,
  chosenThreads,
  DATA,
  type DataValues,
  feedOptions,
} from './options.js'
import { showSamples } from './progress.js'
import { addRunnerOption, openRunner, type RunnerName } from './runner.js'
import { printable, type Terminal } from './terminal.js'
import { UsageError } from './usage.js'
import { given } from './values.js'

interface EvalValues extends DataValues {
  readonly data: readonly string[]
  readonly labels?: string
  readonly threads?: number
  readonly runner?: RunnerName
  readonly json?: boolean
  readonly quiet?: boolean
}

export function addEvalCommand(program: Command, context: CommandContext): void {
  const command = program
    .command('eval')
    .summary('accuracy of a model on labelled data')
    .description(
      'Top-1 and top-5 accuracy for labels (samples); next-token accuracy, negative log-likelihood (nats) and perplexity for labels (samples, positions).',
    )
    .argument('<MODEL.onnx>', 'a float or a quantized model')
    .requiredOption('--data <DATA...>', `inputs: ${DATA}`)
    .option(
      '--labels <LABELS>',
      'integer labels, or next tokens: .npy, .npz or IDX (default: the folders of images, one a class, in the order of their names)',
    )
  addDataOptions(command)
  addRunnerOption(addThreadsOption(command))
    .option(
      '--json',
      'print {top1, top5, samples, seconds} or {nll, perplexity, nextToken, samples, seconds}',
    )
    .option('--quiet', 'say nothing but results and errors')
    .addHelpText(
      'before',
      'Examples:\n  gpfq eval model.onnx --data images.npy.gz --labels labels.npy --scale 255\n  gpfq eval model.onnx --data photos/ --labels labels.npy --scale 127.5 --mean 1 --samples 200\n',
    )
    .action((model: string, values: EvalValues) => runEval(model, values, context))
}

async function runEval(path: string, values: EvalValues, context: CommandContext): Promise<void> {
  const terminal = context.terminal(values.quiet === true)
  const runner = await openRunner({ runner: values.runner, threads: chosenThreads(values) })
  const model = await openModel(path)
  checkCarried(values, model)
  const { signal } = context
  const sources = await openSources(values.data, model.inputs)
  const ofFolders = values.labels === undefined ? folderLabels(sources, terminal) : null
  const feeds = await openFeeds(sources, model.inputs, feedOptions(values), { terminal, signal })
  const found = ofFolders ?? (await fileLabels(values.labels ?? '', values.maxData))
  const labels = labelsOfFeeds(found.labels, feeds, found.place)
  terminal.say(
    `gpfq eval: ${printable(path)}, ${feeds.samples} of ${feeds.available} samples, ${runner.name}`,
  )
  const result = await evaluate({
    runner,
    model: await model.runnable(),
    feeds,
    samples: feeds.samples,
    labels,
    carry: carryOf(values, feeds),
    signal,
    onProgress: showSamples(terminal, 'evaluating'),
  })
  if (values.json) return printJson(terminal, resultDocument(result))
  for (const line of resultLines(result)) terminal.result(line)
}

interface Labels {
  readonly place: string
  readonly labels: Tensor
}

async function fileLabels(argument: string, maxBytes: number | undefined): Promise<Labels> {
  return { place: argument, labels: await loadLabels(await openData(argument), given({ maxBytes })) }
}

/** The labels of the folders that the images are in. */
function folderLabels(sources: readonly DataSource[], terminal: Terminal): Labels {
  const [source] = sources
  const found = source === undefined ? null : labelsOfFolders(source)
  if (source === undefined || found === null)
    throw new UsageError(
      '--labels LABELS: expected integer labels, got none; without them the images have to lie in one folder for each class',
    )
  const { classes, labels } = found
  const last = classes.length - 1
  terminal.say(
    printable(`labels: folders of ${source.name}, ${classes[0]} = 0 to ${classes[last]} = ${last}`),
  )
  return { place: source.name, labels }
}

function resultDocument(result: ClassEvaluation | SequenceEvaluation): Record<string, number> {
  const { samples, seconds } = result
  if ('top1' in result) return { top1: result.top1, top5: result.top5, samples, seconds }
  const { nll, perplexity, nextToken } = result
  return { nll, perplexity, nextToken, samples, seconds }
}

function resultLines(result: ClassEvaluation | SequenceEvaluation): readonly string[] {
  const last = `samples     ${result.samples} in ${formatSeconds(result.seconds)}`
  if ('top1' in result)
    return [`top-1       ${formatPercent(result.top1)}`, `top-5       ${formatPercent(result.top5)}`, last]
  return [
    `nll         ${result.nll.toFixed(5)} nats per token`,
    `perplexity  ${result.perplexity.toFixed(4)}`,
    `next token  ${formatPercent(result.nextToken)}`,
    last,
  ]
}
