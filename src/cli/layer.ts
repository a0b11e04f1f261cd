/** `gpfq layer`: quantizes one dense layer given as NumPy files. */
import type { Command } from 'commander'
import { typeError } from '../checks.js'
import { checkOutput, openData, splitData, writeBytes } from '../data/files.js'
import { formatNpy } from '../data/npy.js'
import { pickArray, readArrays } from '../data/source.js'
import { GpfqError } from '../errors.js'
import { dequantize } from '../methods/alphabet.js'
import { createQuantizer, type LayerResult } from '../quantizer.js'
import { convertElements } from '../tensor/elements.js'
import { type CommandContext, printJson } from './command.js'
import { checkDistinct } from './distinct.js'
import { chosenMethod } from './methodOptions.js'
import { formatPercent, formatSeconds } from './numbers.js'
import {
  type AlphabetValues,
  addAlphabetOptions,
  addKernelOptions,
  checkLayerSettings,
  chosenLevels,
  chosenThreads,
} from './options.js'
import { showSamples } from './progress.js'
import { printable } from './terminal.js'
import { given } from './values.js'

interface LayerValues extends AlphabetValues {
  readonly weights: string
  readonly inputs: string
  readonly quantizedInputs?: string
  readonly output: string
  readonly scales?: string
  readonly values?: string
  readonly threads?: number
  readonly fastMath?: boolean
  readonly force?: boolean
  readonly json?: boolean
  readonly quiet?: boolean
}

export function addLayerCommand(program: Command, context: CommandContext): void {
  const command = program
    .command('layer')
    .summary('quantize one dense layer given as NumPy files')
    .description(
      'Chooses the codes of one layer Y = X·W by greedy path following. A weight is scale · (code − zero), zero = (levels − 1)/2; of method frame see --values.',
    )
    .requiredOption('--weights <W.npy>', 'weights, (inputs N, neurons K)')
    .requiredOption('--inputs <X.npy>', "samples of the layer's inputs, (rows m, N)")
    .option('--quantized-inputs <XQ.npy>', 'the same samples in the network quantized so far (default: X)')
    .requiredOption(
      '-o, --output <CODES.npy>',
      'where to write the codes, uint8 (N, K); of frame (coefficients, K)',
    )
    .option('--scales <S.npy>', 'where to write the scales, float32 (blocks, K)')
    .option('--values <V.npy>', 'where to write the weights that the codes stand for, float32 (N, K)')
  addAlphabetOptions(command)
  addKernelOptions(command)
    .option('--json', 'print {relativeError, seconds, threads} to stdout')
    .option('--quiet', 'say nothing but results and errors')
    .option('--force', 'overwrite existing files')
    .addHelpText(
      'before',
      'Examples:\n  gpfq layer --weights W.npy --inputs X.npy --bits 4 -o codes.npy --scales scales.npy\n',
    )
    .action((values: LayerValues) => runLayer(values, context))
}

async function runLayer(values: LayerValues, context: CommandContext): Promise<void> {
  const terminal = context.terminal(values.quiet === true)
  const force = values.force === true
  const options = {
    ...given({ levels: chosenLevels(values), scalePer: values.scalePer, radius: values.radius }),
    ...chosenMethod(values),
  }
  checkLayerSettings(options)
  const outputs = { '-o': values.output, '--scales': values.scales, '--values': values.values }
  checkDistinct(outputs, {
    '--weights': splitData(values.weights).path,
    '--inputs': splitData(values.inputs).path,
    '--quantized-inputs': values.quantizedInputs && splitData(values.quantizedInputs).path,
  })
  for (const file of Object.values(outputs)) if (file !== undefined) checkOutput(file, force)
  const weights = await readMatrix(values.weights)
  const samples = await readMatrix(values.inputs)
  const quantized =
    values.quantizedInputs === undefined ? undefined : await readMatrix(values.quantizedInputs)
  const [inputs, neurons] = weights.dims
  if (samples.dims[1] !== inputs)
    throw mismatch(values.inputs, `(m, ${inputs}) to go with the weights`, samples.dims)
  if (quantized !== undefined && quantized.dims.join() !== samples.dims.join())
    throw mismatch(
      values.quantizedInputs ?? '',
      `(${samples.dims.join(', ')}) as of the inputs`,
      quantized.dims,
    )

  const method = values.method ?? 'gpfq'
  terminal.say(
    `gpfq layer: weights (${weights.dims.join(', ')}), samples (${samples.dims.join(', ')}), method ${method}`,
  )
  const quantizer = await createQuantizer({
    threads: chosenThreads(values),
    fastMath: values.fastMath === true,
  })
  try {
    const show = showSamples(terminal, 'quantizing')
    const result = await quantizer.quantizeLayer(
      {
        weights: weights.data,
        inputs,
        neurons,
        samples: samples.data,
        ...given({ quantizedSamples: quantized?.data }),
      },
      {
        ...options,
        signal: context.signal,
        onProgress: (fraction) => show(Math.floor(fraction * samples.dims[0]), samples.dims[0]),
      },
    )
    terminal.redraw('')
    await writeResult(values, result, { inputs, neurons })
    const { relativeError, seconds } = result
    if (values.json) printJson(terminal, { relativeError, seconds, threads: quantizer.threads })
    else
      terminal.say(
        `${printable(values.output)}: relative output error ${relativeError === null ? 'not measured' : formatPercent(relativeError)}, zero ${result.zero}, ${formatSeconds(seconds)}, ${quantizer.threads} threads`,
      )
  } finally {
    await quantizer.close()
  }
}

/** Writes the codes, and the scales and values that were asked for. */
async function writeResult(
  { output, scales, values, force = false }: LayerValues,
  result: LayerResult,
  { inputs, neurons }: { readonly inputs: number; readonly neurons: number },
): Promise<void> {
  const { codes } = result
  const matrix = formatNpy({ type: 'uint8', dims: [codes.length / neurons, neurons], data: codes })
  await writeBytes(output, matrix, force)
  if (scales !== undefined) {
    const dims = [result.scales.length / neurons, neurons]
    await writeBytes(scales, formatNpy({ type: 'float32', dims, data: result.scales }), force)
  }
  if (values !== undefined) {
    const data = result.values ?? dequantize(result, { groups: 1, inputs, neurons })
    await writeBytes(values, formatNpy({ type: 'float32', dims: [inputs, neurons], data }), force)
  }
}

/** A file's array of two axes. */
interface Matrix {
  readonly dims: readonly [number, number]
  readonly data: Float32Array
}

async function readMatrix(argument: string): Promise<Matrix> {
  const source = await openData(argument)
  const [file] = source.files
  if (file === undefined || source.files.length > 1)
    throw new GpfqError('INVALID_DATA', { place: source.name, expected: 'a .npy file', got: 'a folder' })
  const array = pickArray(await readArrays(file), source.input, source.name)
  const [rows, columns] = array.dims
  if (array.dims.length !== 2 || rows === undefined || columns === undefined)
    throw mismatch(source.name, 'a matrix', array.dims)
  const data = convertElements(source.name, array.data, array.type, 'float32')
  if (!(data instanceof Float32Array))
    throw typeError({ place: source.name, expected: 'float32 elements', got: array.type })
  return { dims: [rows, columns], data }
}

function mismatch(place: string, expected: string, dims: readonly number[]): GpfqError {
  return new GpfqError('INVALID_DATA', { place, expected, got: `shape (${dims.join(', ')})` })
}
