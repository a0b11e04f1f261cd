/** `gpfq compare`: compares a float model with its quantized one, without labels. */
import type { Command } from 'commander'
import { createRunner } from '../calibration/onnxRuntime.js'
import { describeFeedNote } from '../data/feedNote.js'
import { loadFeeds } from '../data/feeds.js'
import { openData } from '../data/files.js'
import { compareModels } from '../model/compare.js'
import { type CommandContext, printJson } from './command.js'
import { CLI_HINTS } from './hints.js'
import { openModel } from './model.js'
import { formatBytes, formatDecibels, formatPercent, formatSeconds } from './numbers.js'
import {
  addDataOptions,
  addThreadsOption,
  chosenThreads,
  DATA,
  type DataValues,
  feedOptions,
} from './options.js'
import { showSamples } from './progress.js'
import { formatTable } from './table.js'
import { printable } from './terminal.js'

interface CompareValues extends DataValues {
  readonly data: readonly string[]
  readonly threads?: number
  readonly json?: boolean
  readonly quiet?: boolean
}

export function addCompareCommand(program: Command, context: CommandContext): void {
  const command = program
    .command('compare')
    .summary('a float model against its quantized one: agreement, SQNR, size, time')
    .description(
      'Runs both models on the same data. Agreement is the share of samples (or positions) with the same top class; SQNR is 10·log10 of signal over error power at the output.',
    )
    .argument('<FLOAT.onnx>')
    .argument('<QUANTIZED.onnx>')
    .requiredOption('--data <DATA...>', `inputs: ${DATA}`)
  addDataOptions(command)
  addThreadsOption(command)
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
  const float = await openModel(floatPath)
  const quantized = await openModel(quantizedPath)
  const feeds = await loadFeeds(
    await Promise.all(values.data.map(openData)),
    float.inputs,
    feedOptions(values),
  )
  for (const note of feeds.notes) terminal.say(`note: ${printable(describeFeedNote(note, CLI_HINTS))}`)
  const runner = await createRunner({ threads: chosenThreads(values) })
  terminal.say(`gpfq compare: ${feeds.samples} of ${feeds.available} samples, ${runner.name}`)
  const result = await compareModels({
    runner,
    float: await float.runnable(),
    quantized: await quantized.runnable(),
    feeds,
    samples: feeds.samples,
    signal: context.signal,
    onProgress: showSamples(terminal, 'comparing'),
  })
  if (values.json)
    return printJson(terminal, { models: { float: floatPath, quantized: quantizedPath }, ...result })

  const rows = [
    [floatPath, result.float],
    [quantizedPath, result.quantized],
  ] as const
  const table = formatTable(
    [
      { title: 'model', shrinks: true },
      { title: 'size', align: 'right' },
      { title: 'load', align: 'right' },
      { title: 'per sample', align: 'right' },
    ],
    rows.map(([path, cost]) => [
      path,
      formatBytes(cost.bytes),
      formatSeconds(cost.loadSeconds),
      `${cost.millisecondsPerSample.toPrecision(3)} ms`,
    ]),
    terminal.columns,
  )
  for (const line of table) terminal.result(line)
  terminal.result('')
  terminal.result(`agreement   ${formatPercent(result.agreement)} of ${result.samples} samples`)
  terminal.result(
    `SQNR        ${result.sqnrDb === null ? 'outputs are equal' : formatDecibels(result.sqnrDb)}`,
  )
  terminal.result(`difference  at most ${result.largestDifference.toPrecision(3)}`)
}
