/**
 * `npm run accuracy`: the tables of docs/ACCURACY.md. Quantizes the five reference models at 3, 7 and 15 levels with
 * every rule for the scale and every method, and evaluates each on its whole test set. Resumable: every finished cell
 * is stored in docs/accuracy.json and not computed again (delete the file, or a line of it, to measure again).
 *
 * The models and data are not part of the project. The script looks for them in ../shared/assets, or in the folder
 * given as the first argument, and reports if there are none.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { createOrtWebRunner } from '#src/calibration/onnxRuntime.js'
import type { FeedOptions } from '#src/data/feeds.js'
import type { MethodOptions, Radius, ScalePer } from '#src/options.js'
import { type Cell, type Cells, openCells } from './cells.js'
import {
  findAssets,
  measure,
  measureFloat,
  printedOn,
  SUBJECTS,
  type Subject,
  subjectOf,
} from './subjects.js'

/** A column: its head and its options of quantizeModel. */
type Rule = MethodOptions & {
  readonly name: string
  readonly radius?: Radius
  readonly scalePer?: ScalePer
}

const ROUNDING: Rule = { name: 'rounding, max', method: 'msq', radius: { rule: 'max' } }
const DEFAULT: Rule = { name: 'gpfq', method: 'gpfq' }

const OWN_ORDER: Rule = { name: 'gpfq, own order', method: 'gpfq', actOrder: false }

/** The rules for the scale, in one order; rounding with the plain maximum is the common baseline. */
const SCALES: readonly Rule[] = [
  ROUNDING,
  { name: 'rounding, search', method: 'msq' },
  { name: 'gpfq, max', method: 'gpfq', radius: { rule: 'max' } },
  { name: 'gpfq, mse', method: 'gpfq', radius: { rule: 'mse' } },
  { name: 'gpfq, search, layer', method: 'gpfq', scalePer: 'layer', actOrder: false },
  OWN_ORDER,
]

/** All methods, each with the scale of a neuron chosen by output error. */
const FAMILY: readonly Rule[] = [
  { name: 'rounding, search', method: 'msq' },
  { name: 'rounding, search + 3', method: 'msq', passes: 3 },
  DEFAULT,
  OWN_ORDER,
  { name: 'gpfq + 3', method: 'gpfq', passes: 3 },
  { name: 'gpfq + 3, own order', method: 'gpfq', passes: 3, actOrder: false },
  { name: 'spfq', method: 'spfq' },
  { name: 'spfq + 3', method: 'spfq', passes: 3 },
  { name: 'gptq', method: 'gptq' },
  { name: 'qronos', method: 'qronos' },
  { name: 'best', preset: 'best' },
  { name: 'beacon', method: 'beacon' },
]

/** Options that have a default: the order of inputs, the number of passes, the damping. */
const CHOICES: readonly Rule[] = [
  { name: 'gptq', method: 'gptq' },
  { name: 'gptq, own order', method: 'gptq', actOrder: false },
  { name: 'qronos', method: 'qronos' },
  { name: 'qronos, own order', method: 'qronos', actOrder: false },
  { name: 'qronos + 1', method: 'qronos', passes: 1 },
  { name: 'best', preset: 'best' },
  { name: 'best, λ .001', preset: 'best', damping: 1e-3 },
  { name: 'best, λ 1e-6', preset: 'best', damping: 1e-6 },
]
/** The cases in which methods differ by more than the noise. */
const CHOICE_CELLS = [
  ['resnet20', 3],
  ['mobilenet', 15],
] as const

const LEVELS = [15, 7, 3] as const

const store = join('docs', 'accuracy.json')

async function main(): Promise<void> {
  const assets = findAssets()
  if (assets === null) return
  const cells = await openCells(store)
  const runner = await createOrtWebRunner({ threads: availableParallelism() })
  for (const subject of SUBJECTS) {
    await cells.compute(`${subject.name} float`, () => measureFloat(assets, subject, runner))
  }
  const compute = (subject: Subject, levels: number, { name, ...rule }: Rule): Promise<Cell> =>
    cells.compute(`${subject.name} ${levels} ${name}`, () =>
      measure(assets, subject, runner, { levels, ...rule }),
    )
  for (const rule of new Set([...SCALES, ...FAMILY])) {
    for (const subject of SUBJECTS) for (const levels of LEVELS) await compute(subject, levels, rule)
  }
  for (const [name, levels] of CHOICE_CELLS) {
    for (const rule of CHOICES) await compute(subjectOf(name), levels, rule)
  }
  await writeFile(join('docs', 'ACCURACY.md'), page(cells.all, runner.name))
  const readme = await readFile('README.md', 'utf8')
  await writeFile('README.md', readme.replace(SUMMARY, `$1${summary(cells.all)}$2`))
}

/** The part of README between the markers. */
const SUMMARY = /(<!-- accuracy:begin -->\n).*(<!-- accuracy:end -->)/s

const format = (cells: Cells, subject: string, key: string): string => {
  const value = cells[key]?.value
  if (value === undefined) return '–'
  return subject === 'llama' ? value.toFixed(3) : (100 * value).toFixed(2)
}

function summary(cells: Cells): string {
  const lines = [
    '## Accuracy',
    '',
    'Top-1 in percent on whole test sets (perplexity for llama), rounded to nearest → GPFQ, with the size of the GPFQ file:',
    '',
    '| model | float | 15 levels (4 bits) | 7 levels (3 bits) | 3 levels (ternary) |',
    '|---|---|---|---|---|',
  ]
  for (const { name } of SUBJECTS) {
    const cell = (levels: number): string => {
      const [rounded, path] = [ROUNDING, DEFAULT].map((rule) =>
        format(cells, name, `${name} ${levels} ${rule.name}`),
      )
      return `${rounded} → **${path}**, ${kilobytes(cells, `${name} ${levels} ${DEFAULT.name}`)}`
    }
    const float = `${format(cells, name, `${name} float`)}, ${kilobytes(cells, `${name} float`)}`
    lines.push(`| ${name} | ${float} | ${LEVELS.map(cell).join(' | ')} |`)
  }
  lines.push(
    '',
    'Printed by `npm run accuracy` from models and data that are not part of the project; what they are, and every method and',
    'rule: [docs/ACCURACY.md](docs/ACCURACY.md).',
    '',
  )
  return lines.join('\n')
}

const kilobytes = (cells: Cells, key: string): string => `${((cells[key]?.bytes ?? 0) / 1000).toFixed(0)} kB`

const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`

function preprocessing({ scale, mean, std }: FeedOptions): string {
  const parts = [
    scale === undefined ? '' : `x / ${scale}`,
    mean === undefined ? '' : ` − ${mean.join(', ')}`,
    std === undefined ? '' : `, over ${std.join(', ')}`,
  ]
  return parts.join('') || '–'
}

/** A table with a row for each [model, levels] and a column for each rule. */
function table(cells: Cells, rows: readonly (readonly [string, number])[], rules: readonly Rule[]): string[] {
  const lines = [
    `| model (float) | levels | ${rules.map(({ name }) => name).join(' | ')} |`,
    `|---|---|${rules.map(() => '---').join('|')}|`,
  ]
  for (const [name, levels] of rows) {
    const values = rules.map((rule) => format(cells, name, `${name} ${levels} ${rule.name}`))
    lines.push(`| ${name} (${format(cells, name, `${name} float`)}) | ${levels} | ${values.join(' | ')} |`)
  }
  return lines
}

function page(cells: Cells, runner: string): string {
  const rows = SUBJECTS.flatMap(({ name }) => LEVELS.map((levels) => [name, levels] as const))
  const lines = [
    '# Accuracy',
    '',
    'All numbers are on whole test sets: top-1 in percent, and perplexity for llama (lower is better). All Conv, Gemm and MatMul',
    'weights are quantized, also those of the first and the last layer. Sampling noise is about ±0.3 points on 10,000 images and',
    '±1.5 on the 1,000 of mobilenet. These 1,000 are an easy subset, so the rows of mobilenet are not ImageNet accuracy.',
    '',
    '## Models and data',
    '',
    '| name | model | data | calibration samples | preprocessing |',
    '|---|---|---|---|---|',
    ...SUBJECTS.map(({ name, about, calibrationSamples, feeds }) =>
      row([name, ...about, `${calibrationSamples}`, preprocessing(feeds)]),
    ),
    '',
    'Models and data are not part of the project. `npm run accuracy -- FOLDER` reads them from a folder, under the names in',
    'scripts/subjects.ts, and computes the cells that are missing in docs/accuracy.json.',
    '',
    '## Scales',
    '',
    'Each neuron has one scale, except in the column `layer`. `max`: the radius is the largest |w|. `mse`: the radius has the least',
    'weight error. `search`: the radius has the least output error; this is the default. gpfq takes the inputs in their own order in',
    'this table; the last column searches one radius for each neuron. Other tools call "rounding, max" round-to-nearest.',
    '',
    ...table(cells, rows, SCALES),
    '',
    '## The family',
    '',
    '`+ 3`: with three passes of coordinate descent. `best`: `--preset best`, which is qronos + 3. All scales are searched, except',
    'those of beacon, which finds its own. gpfq, gptq and qronos take inputs in descending order of H_tt, except in the columns `own',
    'order`.',
    '',
    ...table(cells, rows, FAMILY),
    '',
    '## Order of inputs, number of passes, damping',
    '',
    'λ is .01 of the mean diagonal of H, except in the columns with another λ. The table above has gpfq in both orders.',
    '',
    ...table(cells, CHOICE_CELLS, CHOICES),
    '',
    '## Size',
    '',
    'The size of the file that gpfq writes, and the peak memory at 15 levels, with calibration tensors.',
    '',
    '| model | calibration samples | float | 15 levels | 7 levels | 3 levels | peak memory |',
    '|---|---|---|---|---|---|---|',
  ]
  for (const { name, calibrationSamples } of SUBJECTS) {
    const sizes = LEVELS.map((levels) => kilobytes(cells, `${name} ${levels} ${DEFAULT.name}`))
    const path = cells[`${name} 15 ${DEFAULT.name}`]
    const memory = `${((path?.peakMemoryBytes ?? 0) / 2 ** 20).toFixed(0)} MiB`
    const float = kilobytes(cells, `${name} float`)
    lines.push(`| ${name} | ${calibrationSamples} | ${[float, ...sizes].join(' | ')} | ${memory} |`)
  }
  lines.push('', printedOn('npm run accuracy', runner), '')
  return lines.join('\n')
}

await main()
