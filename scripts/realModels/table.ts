/** docs/REAL-MODELS.md from what was measured. */
import type { OutputDifference } from '#src/model/outputDifference.js'
import { printedOn } from '../subjects.js'
import { argumentsOf, type RealModel } from './models.js'

/** How a quantized model differs from the float one on the test samples. */
export interface Difference {
  readonly outputs: readonly OutputDifference[]
  /** Share of lines of text that are read alike. */
  readonly lines?: number
}

export interface Measured {
  /** Share of the float bytes that is quantized. */
  readonly quantized: number
  /** Layers, and how many of them are rounded because calibration does not reach them. */
  readonly layers: number
  readonly rounded: number
  readonly seconds: number
  readonly processBytes: number | null
  readonly bytesIn: number
  readonly bytesOut: number
  readonly gpfq: Difference
  readonly rounding: Difference
}

/** What was measured, or what the command said where it refused. */
export type Found = Measured | { readonly refused: string }

/** Decibels within which two results are the same. */
const SAME_DB = 0.2

const WORDS: Readonly<Record<OutputDifference['kind'], string>> = {
  classes: 'same class',
  threshold: 'same side',
  mask: 'overlap of masks',
  embedding: 'cosine',
  integers: 'equal',
}

export function page(
  models: readonly RealModel[],
  found: Readonly<Record<string, Found>>,
  runner: string,
): string {
  const table = (further: boolean): string =>
    models
      .filter((model) => (model.further ?? false) === further)
      .flatMap((model) =>
        [4, 8].flatMap((bits) => {
          const own = found[`${model.name} ${bits}`]
          return own === undefined ? [] : [rowOf(model, bits, own)]
        }),
      )
      .join('\n')
  const missing = models.filter(({ name }) => found[`${name} 4`] === undefined).map(({ name }) => name)
  return `# Real models

Models as npm packages ship them, each quantized from the command line, with 4 and with 8 bits, and compared with the float model on
samples that calibration has not seen. Rounding is \`--method msq --radius mse\` at the same bits and so the same size. Speech, lines
and pages of text are made by scripts/realModels; photos are ImageNet's.

- *in layers*: the share of the float bytes that is quantized; *rounded* layers are those that calibration does not reach.
- *SQNR*: of the output that counts, gpfq / rounding. *all outputs*: the least of gpfq's gain over rounding, over all outputs. A gain within
  ±${SAME_DB} dB counts as the same. Outputs of wake words are near 0 or 1 but for the few windows in which a word ends, and these decide
  the SQNR.
- *decisions*: what the output decides, gpfq / rounding: the same class, the same side of the threshold, masks' overlap, lines that
  are read alike to the last character.
- *time*, *memory*: of gpfq's run, the whole process; wall clock, whatever else the machine did. Comparing is not in it.

${HEAD}
${table(false)}

Further models of these packages:

${HEAD}
${table(true)}

${missing.length === 0 ? '' : `Not measured yet: ${missing.join(', ')}.\n\n`}${printedOn('npm run real-models', runner)}

## Commands

For 4 bits; \`--method msq --radius mse\` in addition is rounding.

\`\`\`
${models.map(commandOf).join('\n')}
\`\`\`
`
}

const HEAD = `| model | bits | in layers | size | time | memory | SQNR, dB | all outputs | decisions | |
|---|---|---|---|---|---|---|---|---|---|`

function rowOf(model: RealModel, bits: number, found: Found): string {
  const name = bits === 4 ? `${model.name}: ${model.about}` : ''
  if ('refused' in found)
    return `| ${name} | ${bits} | | | | | | | | refused: ${found.refused.replace(/^error: /, '')} |`
  const { layers, rounded, quantized, bytesIn, bytesOut, seconds, processBytes, gpfq, rounding } = found
  const [own, other] = [gpfq, rounding].map(({ outputs }) => shown(model, outputs))
  const gain = leastGain(gpfq.outputs, rounding.outputs)
  const cells = [
    ...[name, `${bits}`],
    `${(100 * quantized).toFixed(1)} %${rounded > 0 ? `, ${rounded} of ${layers} rounded` : ''}`,
    `${megabytes(bytesIn)} → ${megabytes(bytesOut)} MB`,
    `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`,
    processBytes === null ? '–' : `${(processBytes / 1e9).toFixed(2)} GB`,
    `${decibels(own?.sqnrDb)} / ${decibels(other?.sqnrDb)}`,
    `${gain >= 0 ? '+' : '−'}${Math.abs(gain).toFixed(1)}`,
    decisionsOf(model, gpfq, rounding),
    gain > SAME_DB ? 'better' : gain >= -SAME_DB ? 'the same' : 'worse',
  ]
  return `| ${cells.join(' | ')} |`
}

const megabytes = (bytes: number): string => (bytes / 1e6).toPrecision(3)
const decibels = (value: number | null | undefined): string =>
  value === null ? '∞' : (value ?? 0).toFixed(1)

const shown = (model: RealModel, outputs: readonly OutputDifference[]): OutputDifference | undefined =>
  outputs.find(({ output }) => output === model.output) ?? outputs[0]

function leastGain(own: readonly OutputDifference[], other: readonly OutputDifference[]): number {
  const gains = own.flatMap(({ output, sqnrDb }) => {
    const rounding = other.find((difference) => difference.output === output)?.sqnrDb ?? null
    return sqnrDb === null || rounding === null ? [] : [sqnrDb - rounding]
  })
  return gains.length === 0 ? 0 : Math.min(...gains)
}

function decisionsOf(model: RealModel, gpfq: Difference, rounding: Difference): string {
  const percent = (share: number): string => `${(100 * share).toFixed(share > 0.999 && share < 1 ? 2 : 1)}`
  if (gpfq.lines !== undefined)
    return `lines read alike ${percent(gpfq.lines)} / ${percent(rounding.lines ?? 0)} %`
  const [own, other] = [shown(model, gpfq.outputs), shown(model, rounding.outputs)]
  if (own === undefined || other === undefined) return ''
  return `${WORDS[own.kind]} ${percent(own.agreement)} / ${percent(other.agreement)} %`
}

const commandOf = (model: RealModel): string => ['gpfq', ...argumentsOf(model, 4, 'gpfq').quantize].join(' ')
