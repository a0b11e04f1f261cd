/**
 * `gpfq demo`: quantizes a small network for handwritten digits that comes with the package. Compares the accuracy of
 * rounding (msq, radius max) and path following (gpfq) at 15 and at 3 levels.
 */
import { fileURLToPath } from 'node:url'
import type { Command } from 'commander'
import { createRunner } from '../calibration/onnxRuntime.js'
import { loadFeeds, loadLabels } from '../data/feeds.js'
import { openData } from '../data/files.js'
import { GpfqError } from '../errors.js'
import { type ClassEvaluation, evaluate, type SequenceEvaluation } from '../model/evaluate.js'
import { quantizeModel } from '../model/quantizeModel.js'
import type { Method, Radius } from '../options.js'
import { type CommandContext, printJson } from './command.js'
import { openModel } from './model.js'
import { formatBytes, formatPercent, formatSeconds } from './numbers.js'
import { addThreadsOption, chosenThreads } from './options.js'
import { showQuantizing, showSamples } from './progress.js'
import { bar, formatTable } from './table.js'
import { given } from './values.js'

interface DemoValues {
  readonly threads?: number
  readonly json?: boolean
  readonly quiet?: boolean
}

/** One row of the table: how the weights were chosen, and the resulting model. */
interface DemoRow {
  readonly name: string
  readonly levels: number | null
  readonly bytes: number
  readonly top1: number
  readonly seconds: number | null
}

/** Plain rounding, and path following with its defaults. */
const CANDIDATES: readonly { name: string; method: Method; radius?: Radius }[] = [
  { name: 'rounded (msq)', method: 'msq', radius: { rule: 'max' } },
  { name: 'gpfq', method: 'gpfq' },
]

const LEVELS = [15, 3] as const

/** From dist/src/cli to the package's own folder. */
const DATA = fileURLToPath(new URL('../../../demo-data/', import.meta.url))

export function addDemoCommand(program: Command, context: CommandContext): void {
  const command = program
    .command('demo')
    .summary('quantize the digit reader that comes with gpfq')
    .description(
      'Quantizes a small network for handwritten digits at 15 and 3 levels and compares accuracies.',
    )
  addThreadsOption(command)
    .option('--json', 'print the table as one JSON document to stdout')
    .option('--quiet', 'say nothing but results and errors')
    .action((values: DemoValues) => runDemo(values, context))
}

async function runDemo(values: DemoValues, context: CommandContext): Promise<void> {
  const terminal = context.terminal(values.quiet === true)
  const { signal } = context
  const start = performance.now()
  const model = await openModel(`${DATA}digits.onnx`)
  const calibration = await loadFeeds([await openData(`${DATA}calibration.npz`)], model.inputs, {
    scale: 255,
  })
  const test = await loadFeeds([await openData(`${DATA}test.npz`)], model.inputs, {
    scale: 255,
    batchSize: 250,
  })
  const labels = await loadLabels(await openData(`label=${DATA}test.npz`))
  const threads = chosenThreads(values)
  const runner = await createRunner({ threads })
  terminal.say(
    `gpfq demo: a network for handwritten digits, calibrated on ${calibration.samples} of them, tested on ${test.samples} others; ${runner.name}`,
  )
  const accuracyOf = async (bytes: Uint8Array): Promise<number> => {
    const onProgress = showSamples(terminal, 'evaluating')
    const { samples } = test
    const run = { runner, model: bytes, feeds: test, samples, labels, signal, onProgress }
    return classResult(await evaluate(run)).top1
  }

  const rows: DemoRow[] = [
    {
      name: 'float',
      levels: null,
      bytes: model.byteLength,
      top1: await accuracyOf(await model.runnable()),
      seconds: null,
    },
  ]
  for (const levels of LEVELS)
    for (const { name, method, radius } of CANDIDATES) {
      const onProgress = terminal.interactive ? { onProgress: showQuantizing(terminal) } : {}
      const { model: bytes, report } = await quantizeModel(model, {
        calibration,
        runner,
        method,
        levels,
        threads,
        signal,
        ...given({ radius }),
        ...onProgress,
      })
      const row = {
        name,
        levels,
        bytes: bytes.length,
        top1: await accuracyOf(bytes),
        seconds: report.seconds.total,
      }
      terminal.say(
        `${name}, ${levels} levels: ${formatPercent(row.top1, 1)} in ${formatSeconds(row.seconds)}`,
      )
      rows.push(row)
    }
  if (values.json) return printJson(terminal, { samples: test.samples, threads, runner: runner.name, rows })
  terminal.result('')
  for (const line of demoTable(rows, terminal.columns)) terminal.result(line)
  terminal.result('')
  terminal.say(
    `done in ${formatSeconds((performance.now() - start) / 1000)}; now with your own: gpfq quantize --help`,
  )
}

function demoTable(rows: readonly DemoRow[], width: number): readonly string[] {
  return formatTable(
    [
      { title: 'weights' },
      { title: 'levels', align: 'right' },
      { title: 'bits', align: 'right' },
      { title: 'accuracy', align: 'right' },
      { title: '' },
      { title: 'model size', align: 'right' },
      { title: 'time', align: 'right' },
    ],
    rows.map(({ name, levels, bytes, top1, seconds }) => [
      name,
      levels === null ? '–' : String(levels),
      levels === null ? '32' : Math.log2(levels).toFixed(1),
      formatPercent(top1, 1),
      bar(top1, 20),
      formatBytes(bytes),
      seconds === null ? '–' : formatSeconds(seconds),
    ]),
    width,
  )
}

function classResult(result: ClassEvaluation | SequenceEvaluation): ClassEvaluation {
  if ('top1' in result) return result
  throw new GpfqError('INVALID_DATA', {
    place: 'demo data',
    expected: 'one label per image',
    got: 'sequences',
  })
}
