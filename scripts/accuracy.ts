/**
 * `npm run accuracy`: the tables of docs/ACCURACY.md. Quantizes the five reference models at 3, 7 and 15 levels by every
 * rule for the scale and by every method, and evaluates each on its whole test set. Resumable: every finished cell is kept
 * in docs/accuracy.json and not computed again (delete the file, or a line of it, to measure anew).
 *
 * The models and data are not part of the project: the script looks for them in ../shared/assets, or in the folder given
 * as the first argument, and says so if there are none.
 */
import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { createOrtWebRunner } from '#src/calibration/onnxRuntime.js'
import type { Runner } from '#src/calibration/runner.js'
import { type FeedOptions, type FeedSet, loadFeeds, loadLabels } from '#src/data/feeds.js'
import { openData, readBytes } from '#src/data/files.js'
import { evaluate } from '#src/evaluate.js'
import type { MethodOptions, Radius, ScalePer } from '#src/options.js'
import { quantizeModel } from '#src/quantizeModel.js'

interface Subject {
  readonly name: string
  readonly model: string
  readonly calibration: string
  readonly calibrationSamples: number
  readonly data: string
  readonly labels: string
  readonly feeds: FeedOptions
}

const SUBJECTS: readonly Subject[] = [
  {
    name: 'resnet20',
    model: 'models/cifar10-resnet20.onnx',
    calibration: 'cifar10/train5k-images.npy.gz',
    calibrationSamples: 1024,
    data: 'cifar10/test-images.npy.gz',
    labels: 'cifar10/test-labels.npy.gz',
    feeds: { scale: 255, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] },
  },
  {
    name: 'gpfq-cnn',
    model: 'models/cifar10-gpfq-cnn.onnx',
    calibration: 'cifar10/train5k-images.npy.gz',
    calibrationSamples: 1024,
    data: 'cifar10/test-images.npy.gz',
    labels: 'cifar10/test-labels.npy.gz',
    feeds: { scale: 255 },
  },
  {
    name: 'mnist-mlp',
    model: 'models/mnist-mlp-500-300-bn.onnx',
    calibration: 'mnist/mnist-train-images-idx3-ubyte.gz',
    calibrationSamples: 5000,
    data: 'mnist/mnist-t10k-images-idx3-ubyte.gz',
    labels: 'mnist/mnist-t10k-labels-idx1-ubyte.gz',
    feeds: { scale: 255 },
  },
  {
    name: 'mobilenet',
    model: 'models/imagenet-mobilenetv1-0.25-224.onnx',
    calibration: 'imagenet/calib',
    calibrationSamples: 300,
    data: 'imagenet/eval',
    labels: 'imagenet/eval-labels.npy',
    feeds: { scale: 127.5, mean: [1] },
  },
  {
    name: 'llama',
    model: 'models/tinystories-llama-260k-t256.onnx',
    calibration: 'text/tinystories-calib-tokens.npy.gz',
    calibrationSamples: 320,
    data: 'text/tinystories-eval-tokens.npy.gz',
    labels: 'text/tinystories-eval-next.npy.gz',
    feeds: { batchSize: 8 },
  },
]

/** A column: its head and what it asks of quantizeModel. */
interface Rule extends Omit<MethodOptions, 'seed'> {
  readonly name: string
  readonly radius?: Radius
  readonly scalePer?: ScalePer
}

const ROUNDING: Rule = { name: 'rounding, max', method: 'msq', radius: { rule: 'max' } }
const DEFAULT: Rule = { name: 'gpfq', method: 'gpfq' }

/** How the scale is chosen; rounding to the plain maximum is what everybody else does. */
const SCALES: readonly Rule[] = [
  ROUNDING,
  { name: 'rounding, search', method: 'msq' },
  { name: 'gpfq, max', method: 'gpfq', radius: { rule: 'max' } },
  { name: 'gpfq, mse', method: 'gpfq', radius: { rule: 'mse' } },
  { name: 'gpfq, search, layer', method: 'gpfq', scalePer: 'layer' },
  DEFAULT,
]

/** The family, each with the scale of a neuron chosen by output error. */
const FAMILY: readonly Rule[] = [
  { name: 'rounding, search', method: 'msq' },
  { name: 'rounding, search + 3', method: 'msq', passes: 3 },
  DEFAULT,
  { name: 'gpfq + 3', method: 'gpfq', passes: 3 },
  { name: 'spfq', method: 'spfq' },
  { name: 'spfq + 3', method: 'spfq', passes: 3 },
  { name: 'gptq', method: 'gptq' },
  { name: 'gptq + 3', method: 'gptq', passes: 3 },
  { name: 'qronos', method: 'qronos' },
  { name: 'best', preset: 'best' },
  { name: 'beacon', method: 'beacon' },
]

/** Options that have a default: the order of inputs, the number of passes, the damping. */
const CHOICES: readonly Rule[] = [
  DEFAULT,
  { name: 'gpfq, act-order', method: 'gpfq', actOrder: true },
  { name: 'gptq', method: 'gptq' },
  { name: 'gptq, own order', method: 'gptq', actOrder: false },
  { name: 'qronos', method: 'qronos' },
  { name: 'qronos, own order', method: 'qronos', actOrder: false },
  { name: 'qronos + 1', method: 'qronos', passes: 1 },
  { name: 'best', preset: 'best' },
  { name: 'qronos + 10', method: 'qronos', passes: 10 },
  { name: 'best, λ .001', preset: 'best', damping: 1e-3 },
  { name: 'best, λ 1e-6', preset: 'best', damping: 1e-6 },
]
/** Where methods differ by more than the noise. */
const CHOICE_CELLS = [
  ['resnet20', 3],
  ['gpfq-cnn', 3],
  ['mobilenet', 15],
  ['llama', 7],
] as const

const LEVELS = [15, 7, 3] as const

interface Cell {
  /** Top-1 as a fraction of 1, or perplexity. */
  readonly value: number
  readonly bytes: number
  readonly seconds: number
  readonly peakMemoryBytes: number
}
type Cells = Record<string, Cell>

const assets = process.argv[2] ?? join('..', 'shared', 'assets')
const store = join('docs', 'accuracy.json')

async function main(): Promise<void> {
  if (!existsSync(assets)) {
    console.error(
      `skipped: expected models and data in ${assets}, got no such folder; name one as the first argument`,
    )
    return
  }
  const cells: Cells = existsSync(store) ? (JSON.parse(await readFile(store, 'utf8')) as Cells) : {}
  const runner = await createOrtWebRunner({ threads: cpus().length })
  for (const subject of SUBJECTS)
    await cell(cells, `${subject.name} float`, () => measureFloat(subject, runner))
  const compute = (subject: Subject, levels: number, { name, ...rule }: Rule): Promise<void> =>
    cell(cells, `${subject.name} ${levels} ${name}`, () => measure(subject, runner, { levels, ...rule }))
  for (const rule of new Set([...SCALES, ...FAMILY])) {
    for (const subject of SUBJECTS) for (const levels of LEVELS) await compute(subject, levels, rule)
  }
  for (const [name, levels] of CHOICE_CELLS) {
    const subject = SUBJECTS.find((candidate) => candidate.name === name)
    if (subject !== undefined) for (const rule of CHOICES) await compute(subject, levels, rule)
  }
  await writeFile(join('docs', 'ACCURACY.md'), page(cells, runner.name))
  const readme = await readFile('README.md', 'utf8')
  await writeFile('README.md', readme.replace(SUMMARY, `$1${summary(cells)}$2`))
}

async function cell(cells: Cells, key: string, compute: () => Promise<Cell>): Promise<void> {
  if (cells[key] === undefined) {
    cells[key] = await compute()
    await writeFile(store, `${JSON.stringify(cells, null, 1)}\n`)
  }
  console.log(key.padEnd(36), cells[key].value.toFixed(4), `${cells[key].seconds.toFixed(1)} s`)
}

async function measureFloat(subject: Subject, runner: Runner): Promise<Cell> {
  const bytes = await readBytes(join(assets, subject.model))
  return { value: await score(subject, runner, bytes), bytes: bytes.length, seconds: 0, peakMemoryBytes: 0 }
}

async function measure(
  subject: Subject,
  runner: Runner,
  settings: Omit<Rule, 'name'> & { readonly levels: number },
): Promise<Cell> {
  const bytes = await readBytes(join(assets, subject.model))
  const calibration = await open(subject, runner, bytes, subject.calibration, subject.calibrationSamples)
  const { model, report } = await quantizeModel(bytes, { ...settings, calibration, runner })
  return {
    value: await score(subject, runner, model),
    bytes: model.length,
    seconds: report.seconds.total,
    peakMemoryBytes: report.peakMemoryBytes,
  }
}

async function open(
  subject: Subject,
  runner: Runner,
  model: Uint8Array,
  data: string,
  samples?: number,
): Promise<FeedSet> {
  const session = await runner.load(model)
  const feeds = await loadFeeds([await openData(join(assets, data))], session.inputs, {
    ...subject.feeds,
    samples,
  })
  await session.close()
  return feeds
}

/** Top-1 on the whole test set, or perplexity. */
async function score(subject: Subject, runner: Runner, model: Uint8Array): Promise<number> {
  const feeds = await open(subject, runner, model, subject.data)
  const labels = await loadLabels(await openData(join(assets, subject.labels)))
  const session = await runner.load(model)
  const result = await evaluate(session, feeds, labels, feeds.samples)
  await session.close()
  return 'top1' in result ? result.top1 : result.perplexity
}

/** README's part between the markers. */
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
    'Reproduce with `npm run accuracy`; models, data, the other rounding rules and times: [docs/ACCURACY.md](docs/ACCURACY.md).',
    '',
  )
  return lines.join('\n')
}

const kilobytes = (cells: Cells, key: string): string => `${((cells[key]?.bytes ?? 0) / 1000).toFixed(0)} kB`

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
    'Whole test sets; top-1 in percent, perplexity for llama (lower is better). All Conv, Gemm and MatMul weights are',
    'quantized, first and last layer too. Sampling noise is about ±0.3 points on 10,000 images and ±1.5 on the 1,000 of',
    'mobilenet, which are an easy subset: do not read its column as ImageNet accuracy.',
    '',
    '## Scales',
    '',
    'One scale a neuron, but where it says layer. `max`: radius = largest |w|. `mse`: by weight error. `search`: by output',
    'error, the default and what `gpfq` alone means. "rounding, max" is what other tools call round-to-nearest.',
    '',
    ...table(cells, rows, SCALES),
    '',
    '## The family',
    '',
    '`+ 3`: three passes of coordinate descent. `best`: `--preset best`, which is qronos + 3. Every scale by search, but',
    'for beacon, which finds its own.',
    '',
    ...table(cells, rows, FAMILY),
    '',
    '## Order of inputs, number of passes, damping',
    '',
    'gptq and qronos take inputs by descending H_tt unless it says own order, gpfq in their own; λ is .01 of the mean',
    'diagonal of H unless it says otherwise.',
    '',
    ...table(cells, CHOICE_CELLS, CHOICES),
    '',
    '## Size and time',
    '',
    '| model | float | 15 levels | 7 levels | 3 levels | seconds, gpfq 15 levels | seconds, best | peak memory |',
    '|---|---|---|---|---|---|---|---|',
  ]
  for (const { name, calibrationSamples } of SUBJECTS) {
    const sizes = LEVELS.map((levels) => kilobytes(cells, `${name} ${levels} ${DEFAULT.name}`))
    const path = cells[`${name} 15 ${DEFAULT.name}`]
    const time = `${path?.seconds.toFixed(1)} (${calibrationSamples} samples)`
    const best = `${cells[`${name} 15 best`]?.seconds.toFixed(1)}`
    const memory = `${((path?.peakMemoryBytes ?? 0) / 2 ** 20).toFixed(0)} MiB`
    lines.push(
      `| ${name} | ${kilobytes(cells, `${name} float`)} | ${sizes.join(' | ')} | ${time} | ${best} | ${memory} |`,
    )
  }
  lines.push(
    '',
    `Printed by \`npm run accuracy\` on ${cpus().length} × ${cpus()[0]?.model.trim()}, Node ${process.version}, ${runner}.`,
    '',
  )
  return lines.join('\n')
}

await main()
