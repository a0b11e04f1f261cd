/**
 * `gpfq layer`: quantizes one dense layer given as NumPy files. In one step from its samples, or in two: parts of the
 * samples are observed, perhaps on several machines, and their observations are merged and solved.
 */
import type { Command } from 'commander'
import { splitData } from '../data/files.js'
import { formatNpy } from '../data/npy.js'
import { checkOutput, writeBytes } from '../data/output.js'
import { atPlace, GpfqError } from '../errors.js'
import { dequantize, type WeightShape } from '../methods/alphabet.js'
import { methodOf } from '../methods/methods.js'
import {
  createQuantizer,
  type LayerResult,
  type Quantizer,
  type SolvedLayer,
  type SolveLayerOptions,
} from '../quantizer.js'
import { type CommandContext, printJson } from './command.js'
import { checkDistinct } from './distinct.js'
import { type LayerFiles, type LayerValues, type LayerWork, layerWork } from './layerWork.js'
import { mismatch, readMatrix, readSamples } from './matrix.js'
import { chosenMethod } from './methodOptions.js'
import { formatBytes, formatPercent, formatSeconds } from './numbers.js'
import { mergeFiles, observeMatrix } from './observations.js'
import {
  addAlphabetOptions,
  addKernelOptions,
  addMaxDataOption,
  checkLayerSettings,
  chosenLevels,
  chosenThreads,
} from './options.js'
import { showSamples } from './progress.js'
import { printable, type Terminal } from './terminal.js'
import { given } from './values.js'

const EXAMPLES = `Examples:
  gpfq layer --weights W.npy --inputs X.npy --bits 4 -o codes.npy --scales scales.npy
  gpfq layer --inputs X1.npy --quantized-inputs XQ1.npy --observe part1.obs
  gpfq layer --weights W.npy --observations part1.obs part2.obs --bits 4 -o codes.npy
`

const DESCRIPTION = `Chooses the codes of one layer Y = X·W by greedy path following. A weight is scale · (code − zero), zero = (levels − 1)/2; of method frame see --values.

In two steps: --observe sums up what samples say about the layer's inputs, which needs no weights, and --observations chooses the codes on such sums. The codes are those of one step where each part but the last has a multiple of 4096 rows.`

type Work<Kind extends LayerWork['kind']> = LayerWork & { readonly kind: Kind }

/** What every kind of run has. */
interface Run {
  readonly context: CommandContext
  readonly terminal: Terminal
  readonly scales: string | undefined
  readonly values: string | undefined
  readonly maxData: number | undefined
  readonly force: boolean
  readonly json: boolean
  create(): Promise<Quantizer>
}

export function addLayerCommand(program: Command, context: CommandContext): void {
  const command = program
    .command('layer')
    .summary('quantize one dense layer given as NumPy files')
    .description(DESCRIPTION)
    .option('--weights <W.npy>', 'weights, (inputs N, neurons K)')
    .option('--inputs <X.npy>', "samples of the layer's inputs, (rows m, N)")
    .option('--quantized-inputs <XQ.npy>', 'the same samples in the network quantized so far (default: X)')
    .option('--observe <PART.obs>', 'observe the samples and write the observations; nothing is quantized')
    .option('--observations <PART.obs...>', 'observations instead of --inputs, in the order of their samples')
    .option('-o, --output <CODES.npy>', 'where to write the codes, uint8 (N, K); of frame (coefficients, K)')
    .option('--scales <S.npy>', 'where to write the scales, float32 (blocks, K)')
    .option('--values <V.npy>', 'where to write the weights that the codes stand for, float32 (N, K)')
  addAlphabetOptions(command)
  addMaxDataOption(addKernelOptions(command))
    .option(
      '--json',
      'print {relativeError, seconds, threads} to stdout; with --observe {rows, bytes, seconds, threads}',
    )
    .option('--quiet', 'say nothing but results and errors')
    .option('--force', 'overwrite existing files')
    .addHelpText('before', EXAMPLES)
    .action((values: LayerValues) => runLayer(values, context))
}

async function runLayer(values: LayerValues, context: CommandContext): Promise<void> {
  const work = layerWork(values)
  const options = solveOptions(values)
  const outputs = {
    '-o': values.output,
    '--scales': values.scales,
    '--values': values.values,
    '--observe': values.observe,
  }
  checkDistinct(outputs, {
    '--weights': pathOf(values.weights),
    '--inputs': pathOf(values.inputs),
    '--quantized-inputs': pathOf(values.quantizedInputs),
    '--observations': values.observations,
  })
  for (const file of Object.values(outputs)) if (file !== undefined) checkOutput(file, values.force === true)
  const run: Run = {
    context,
    terminal: context.terminal(values.quiet === true),
    ...{ scales: values.scales, values: values.values, maxData: values.maxData },
    force: values.force === true,
    json: values.json === true,
    create: () => createQuantizer({ threads: chosenThreads(values), fastMath: values.fastMath === true }),
  }
  if (work.kind === 'observe') return runObserve(work, run)
  if (work.kind === 'quantize') return runQuantize(work, options, run)
  return runSolve(work, options, run)
}

const pathOf = (argument: string | undefined): string | undefined => argument && splitData(argument).path

/** @throws {UsageError} for options that the method does not have, or values out of range */
function solveOptions(values: LayerValues): SolveLayerOptions {
  const options = {
    ...given({ levels: chosenLevels(values), scalePer: values.scalePer, radius: values.radius }),
    ...chosenMethod(values),
  }
  checkLayerSettings(options)
  return options
}

/** Observes the samples and writes what they say. */
async function runObserve(work: Work<'observe'>, { terminal, context, ...run }: Run): Promise<void> {
  const start = performance.now()
  const samples = await readSamples(work.inputs, work.quantizedInputs, run.maxData)
  const [rows, inputs] = samples.x.dims
  terminal.say(`gpfq layer: observing samples (${rows}, ${inputs})`)
  await using quantizer = await run.create()
  const show = showSamples(terminal, 'observing')
  const observations = await at(work.inputs, () =>
    observeMatrix(quantizer, samples, context.signal, (done) => show(done, rows)),
  )
  const { bytes } = observations
  sayNotes(terminal, await writeBytes(work.observe, bytes, run.force))
  const seconds = (performance.now() - start) / 1000
  const { threads } = quantizer
  if (run.json) printJson(terminal, { rows, bytes: bytes.length, seconds, threads })
  else
    terminal.say(
      `${printable(work.observe)}: ${rows} rows in ${formatBytes(bytes.length)}, ${formatSeconds(seconds)}, ${threads} threads`,
    )
}

/** Quantizes the layer on samples. */
async function runQuantize(work: Work<'quantize'>, options: SolveLayerOptions, run: Run): Promise<void> {
  const { terminal, context } = run
  const weights = await readMatrix(work.weights, run.maxData)
  const { x, xq } = await readSamples(work.inputs, work.quantizedInputs, run.maxData)
  const [inputs, neurons] = weights.dims
  if (x.dims[1] !== inputs) throw mismatch(work.inputs, `(m, ${inputs}) to go with the weights`, x.dims)
  terminal.say(
    `gpfq layer: weights (${weights.dims.join(', ')}), samples (${x.dims.join(', ')}), method ${methodOf(options)}`,
  )
  await using quantizer = await run.create()
  const show = showSamples(terminal, 'quantizing')
  const result = await at(work.inputs, () =>
    quantizer.quantizeLayer(
      { weights: weights.data, inputs, neurons, samples: x.data, ...given({ quantizedSamples: xq?.data }) },
      {
        ...options,
        signal: context.signal,
        onProgress: (fraction) => show(Math.floor(fraction * x.dims[0]), x.dims[0]),
      },
    ),
  )
  await finish(work, result, { groups: 1, inputs, neurons }, quantizer, run)
}

/** Solves the layer on observations that were made before. */
async function runSolve(work: Work<'solve'>, options: SolveLayerOptions, run: Run): Promise<void> {
  const { terminal, context } = run
  const weights = await readMatrix(work.weights, run.maxData)
  const { observations, note } = await mergeFiles(work.observations)
  const { groups, inputs } = observations.shape
  const [rows, neurons] = weights.dims
  if (rows !== groups * inputs)
    throw mismatch(work.weights, `(${groups * inputs}, K) to go with the observations`, weights.dims)
  if (note !== null) terminal.say(`note: ${printable(note)}`)
  terminal.say(
    `gpfq layer: weights (${weights.dims.join(', ')}), observations of ${observations.rows} rows, method ${methodOf(options)}`,
  )
  await using quantizer = await run.create()
  const result = await at('--observations', () =>
    quantizer.solve(observations, weights.data, { ...options, signal: context.signal }),
  )
  await finish(work, { ...result, relativeError: null }, { groups, inputs, neurons }, quantizer, run)
}

/** Writes the result, and says what it is. */
async function finish(
  files: LayerFiles,
  result: LayerResult,
  shape: WeightShape,
  { threads }: Quantizer,
  { terminal, ...run }: Run,
): Promise<void> {
  terminal.redraw('')
  sayNotes(terminal, [...(await writeResult(files, result, shape, run)), ...result.notes])
  const { relativeError, seconds, zero } = result
  if (run.json) printJson(terminal, { relativeError, seconds, threads })
  else
    terminal.say(
      `${printable(files.output)}: relative output error ${relativeError === null ? 'not measured' : formatPercent(relativeError)}, zero ${zero}, ${formatSeconds(seconds)}, ${threads} threads`,
    )
}

/** Writes the codes, and the scales and values that were asked for. */
async function writeResult(
  { output }: LayerFiles,
  result: SolvedLayer,
  shape: WeightShape,
  { scales, values, force }: Pick<Run, 'scales' | 'values' | 'force'>,
): Promise<readonly string[]> {
  const { codes } = result
  const { groups, inputs, neurons } = shape
  const matrix = formatNpy({ type: 'uint8', dims: [codes.length / neurons, neurons], data: codes })
  const notes = [...(await writeBytes(output, matrix, force))]
  if (scales !== undefined) {
    const dims = [result.scales.length / neurons, neurons]
    notes.push(
      ...(await writeBytes(scales, formatNpy({ type: 'float32', dims, data: result.scales }), force)),
    )
  }
  if (values !== undefined) {
    const data = result.values ?? dequantize(result, shape)
    const matrix = formatNpy({ type: 'float32', dims: [groups * inputs, neurons], data })
    notes.push(...(await writeBytes(values, matrix, force)))
  }
  return notes
}

function sayNotes(terminal: Terminal, notes: readonly string[]): void {
  for (const note of notes) terminal.say(`note: ${printable(note)}`)
}

/** Runs a call of the library. What it says of 'samples' it says of the files that they come from. */
async function at<T>(place: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act()
  } catch (error) {
    throw error instanceof GpfqError && error.place.startsWith('samples')
      ? atPlace(
          error,
          error.place.replace('samples', () => place),
        )
      : error
  }
}
