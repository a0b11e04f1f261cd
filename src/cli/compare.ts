/** `gpfq compare`: compares a float model with its quantized one, without labels. */
import type { Command } from 'commander'
import { type Comparison, compareModels, type ModelCost } from '../model/compare.js'
import { agreementText, agreementWords, sqnrText } from '../report/outputs.js'
import type { Feeds } from '../tensor/tensor.js'
import { type CommandContext, printJson } from './command.js'
import { carryOf, checkCarried, openFeeds, openSources } from './data.js'
import { measureMemory } from './memory.js'
import { openModel } from './model.js'
import { formatBytes, formatRunTime, formatSeconds, timesFaster } from './numbers.js'
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
import { formatTable } from './table.js'
import type { Terminal } from './terminal.js'

interface CompareValues extends DataValues {
  readonly data: readonly string[]
  readonly output?: string
  readonly threads?: number
  readonly runner?: RunnerName
  readonly json?: boolean
  readonly quiet?: boolean
}

export function addCompareCommand(program: Command, context: CommandContext): void {
  const command = program
    .command('compare')
    .summary('a float model against its quantized one: agreement, SQNR, size, memory, speed')
    .description(
      'Runs both models on the same data. Every output is compared in the terms that fit it: the same top class, the same side of a threshold, the overlap of masks, the cosine of embeddings; SQNR is 10·log10 of signal over error power. Times are the shortest of up to 300 runs on the first batch, both models in turn. Memory is what a process of its own grows by when it loads the model and runs it once.',
    )
    .argument('<FLOAT.onnx>')
    .argument('<QUANTIZED.onnx>')
    .requiredOption('--data <DATA...>', `inputs: ${DATA}`)
    .option('--output <NAME>', 'compare this output only (default: all)')
  addDataOptions(command)
  addRunnerOption(addThreadsOption(command))
    .option('--json', 'print one JSON document to stdout')
    .option('--quiet', 'say nothing but results and errors')
    .addHelpText(
      'before',
      'Examples:\n  gpfq compare model.onnx model-4bit.onnx --data images.npy.gz --scale 255\n',
    )
    .action((float: string, quantized: string, values: CompareValues) =>
      runCompare(float, quantized, values, context),
    )
}

async function runCompare(
  floatPath: string,
  quantizedPath: string,
  values: CompareValues,
  context: CommandContext,
): Promise<void> {
  const terminal = context.terminal(values.quiet === true)
  const choice = { runner: values.runner, threads: chosenThreads(values) }
  const runner = await openRunner(choice)
  const float = await openModel(floatPath)
  const quantized = await openModel(quantizedPath)
  for (const model of [float, quantized]) checkCarried(values, model)
  const { signal } = context
  const sources = await openSources(values.data, float.inputs)
  const feeds = await openFeeds(sources, float.inputs, feedOptions(values), { terminal, signal })
  terminal.say(`gpfq compare: ${feeds.samples} of ${feeds.available} samples, ${runner.name}`)
  const showProgress = showSamples(terminal, 'comparing')
  const result = await compareModels({
    runner,
    float: await float.runnable(),
    quantized: await quantized.runnable(),
    feeds,
    samples: feeds.samples,
    output: values.output,
    carry: carryOf(values, feeds),
    signal,
    onProgress: (done, total) => {
      if (done < total) showProgress(done, total)
      else terminal.redraw('timing both in turn')
    },
  })
  terminal.redraw('measuring memory')
  const batch = await firstOf(feeds)
  const costs: Costs = {
    float: {
      ...result.float,
      memoryBytes: await measureMemory({ ...choice, path: floatPath, feeds: batch }, signal),
    },
    quantized: {
      ...result.quantized,
      memoryBytes: await measureMemory({ ...choice, path: quantizedPath, feeds: batch }, signal),
    },
  }
  terminal.redraw('')
  const models = { float: floatPath, quantized: quantizedPath }
  if (values.json) return printJson(terminal, { models, ...result, ...costs })
  for (const line of comparisonLines(models, result, costs, terminal)) terminal.result(line)
}

/** What a model costs, with the memory that it takes in a process of its own; null where that could not be measured. */
interface Costs {
  readonly float: ModelCost & { readonly memoryBytes: number | null }
  readonly quantized: ModelCost & { readonly memoryBytes: number | null }
}

async function firstOf(feeds: AsyncIterable<Feeds>): Promise<Feeds> {
  for await (const batch of feeds) return batch
  return {}
}

function comparisonLines(
  models: { readonly float: string; readonly quantized: string },
  { outputs, samples, speed }: Comparison,
  costs: Costs,
  terminal: Terminal,
): readonly string[] {
  const rows = [
    [models.float, costs.float],
    [models.quantized, costs.quantized],
  ] as const
  const table = formatTable(
    [
      { title: 'model', shrinks: true },
      { title: 'size', align: 'right' },
      { title: 'load', align: 'right' },
      { title: 'memory', align: 'right' },
      { title: 'per sample', align: 'right' },
    ],
    rows.map(([path, cost]) => [
      path,
      formatBytes(cost.bytes),
      formatSeconds(cost.loadSeconds),
      cost.memoryBytes === null ? '–' : `~${Math.round(cost.memoryBytes / 1e6)} MB`,
      formatRunTime(cost.millisecondsPerSample / 1000),
    ]),
    terminal.columns,
  )
  const batch = `${speed.runs} ${speed.runs === 1 ? 'run' : 'runs'} of ${speed.samples} ${speed.samples === 1 ? 'sample' : 'samples'}`
  return [
    ...table,
    '',
    `speed       ${timesFaster(speed.floatSeconds, speed.quantizedSeconds)}, the shortest of ${batch} each`,
    `outputs on ${samples} samples:`,
    ...formatTable(
      [
        { title: 'output', shrinks: true },
        { title: 'SQNR', align: 'right' },
        { title: 'agreement', align: 'right' },
        { title: 'taken as' },
        { title: 'largest difference', align: 'right', optional: true },
      ],
      outputs.map((difference) => [
        difference.output,
        sqnrText(difference),
        agreementText(difference),
        `${difference.kind}: ${agreementWords(difference)}`,
        difference.largestDifference.toPrecision(3),
      ]),
      terminal.columns,
    ),
  ]
}
