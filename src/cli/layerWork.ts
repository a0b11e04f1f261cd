/**
 * What a call of `gpfq layer` asks for: to observe samples, to quantize a layer on samples, or to solve it on observations.
 * Options that do not go together are refused here, before a file is read.
 */
import type { AlphabetValues } from './options.js'
import { UsageError } from './usage.js'
import { kebab } from './values.js'

export interface LayerValues extends AlphabetValues {
  readonly weights?: string
  readonly inputs?: string
  readonly quantizedInputs?: string
  readonly observe?: string
  readonly observations?: readonly string[]
  readonly output?: string
  readonly scales?: string
  readonly values?: string
  readonly threads?: number
  readonly fastMath?: boolean
  readonly maxData?: number
  readonly force?: boolean
  readonly json?: boolean
  readonly quiet?: boolean
}

/** Files of samples. */
export interface SampleFiles {
  readonly inputs: string
  readonly quantizedInputs: string | undefined
}

/** The layer, and where its codes go. */
export interface LayerFiles {
  readonly weights: string
  readonly output: string
}

export type LayerWork =
  | (SampleFiles & { readonly kind: 'observe'; readonly observe: string })
  | (SampleFiles & LayerFiles & { readonly kind: 'quantize' })
  | (LayerFiles & { readonly kind: 'solve'; readonly observations: readonly string[] })

/** Options that --observe can have beside it. */
const OF_OBSERVE = [
  'observe',
  'inputs',
  'quantizedInputs',
  'threads',
  'fastMath',
  'maxData',
  'force',
  'json',
  'quiet',
]

/** @throws {UsageError} for options that do not go together, or are missing */
export function layerWork(values: LayerValues): LayerWork {
  const { weights, inputs, quantizedInputs, observe, observations, output } = values
  if (observe !== undefined) {
    const other = Object.keys(values).find((name) => !OF_OBSERVE.includes(name))
    if (other !== undefined)
      throw new UsageError(
        `${typed(other)}: expected none together with --observe, which takes samples alone; leave it out`,
      )
    if (inputs === undefined) throw missing('--inputs X.npy', 'samples to observe')
    return { kind: 'observe', observe, inputs, quantizedInputs }
  }
  if (weights === undefined) throw missing('--weights W.npy', 'the weights of the layer, or --observe')
  if (output === undefined) throw missing('-o CODES.npy', 'a file to write')
  if (observations === undefined) {
    if (inputs === undefined) throw missing('--inputs X.npy', 'samples, or --observations')
    return { kind: 'quantize', weights, inputs, quantizedInputs, output }
  }
  const samples = inputs !== undefined ? '--inputs' : '--quantized-inputs'
  if (inputs !== undefined || quantizedInputs !== undefined)
    throw new UsageError(
      `${samples}: expected none beside --observations, which are made of samples already; leave one out`,
    )
  if (values.preprocess === true)
    throw new UsageError(
      '--preprocess: expected --inputs, for it needs the samples themselves, got --observations',
    )
  return { kind: 'solve', weights, observations, output }
}

const missing = (option: string, what: string): UsageError =>
  new UsageError(`${option}: expected ${what}, got none`)

const typed = (name: string): string => (name === 'output' ? '-o' : `--${kebab(name)}`)
