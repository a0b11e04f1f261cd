/**
 * `npm run int8`: the tables of accuracy of docs/INT8.md. Quantizes the five reference models with weights alone, with
 * activations rounded after the weights were chosen, and with weights that make up for the rounding of activations; and
 * compares the rules for ranges. Each is scored on its whole test set. Resumable, as `npm run accuracy`: finished cells are in
 * docs/int8.json. What `npm run accuracy` has measured already, it takes from there.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { createOrtWebRunner } from '#src/calibration/onnxRuntime.js'
import type { Runner } from '#src/calibration/runner.js'
import type { ActivationOptions, ActivationRanges, MethodOptions } from '#src/options.js'
import { type Cell, type Cells, openCells } from './cells.js'
import { measureAfterwards } from './roundedAfterwards.js'
import { findAssets, measure, printedOn, SUBJECTS, type Subject, subjectOf } from './subjects.js'

/** In the order in which they are measured: what matters most comes first. */
const LEVELS = [15, 3, 7, 255] as const

/** Which layers run on integers: those that the table of costs chooses, or all that can. */
type Which = 'by shape' | 'all'

const activations = (which: Which, ranges: ActivationRanges = { rule: 'minmax' }): ActivationOptions => ({
  ...{ bits: 8, ranges },
  for: which === 'all' ? [{ pattern: '*', kernel: 'int8' }] : [],
})

const RANGES: readonly ActivationRanges[] = [
  { rule: 'minmax' },
  { rule: 'percentile', percentile: 99.99 },
  { rule: 'mse' },
  { rule: 'search' },
]

const nameOf = (ranges: ActivationRanges): string =>
  ranges.rule === 'percentile' ? `percentile:${ranges.percentile}` : ranges.rule

const METHODS: readonly { readonly name: string; readonly options: MethodOptions }[] = [
  { name: 'gpfq', options: {} },
  { name: 'best', options: { preset: 'best' } },
]

/** Mixed precision on the network that loses most at 4 bits. */
const MIXED = { targetBits: 5, preset: 'best' } as const
const sizeKey = (which: Which | null): string => `mobilenet 5 bits best ${which ?? 'weights'}`

const store = join('docs', 'int8.json')
/** Cells of weights alone and of float networks. */
const known = join('docs', 'accuracy.json')
const PAGE = join('docs', 'INT8.md')

async function main(): Promise<void> {
  const assets = findAssets()
  if (assets === null) return
  const cells = await openCells(store)
  const runner = await createOrtWebRunner({ threads: availableParallelism() })
  const before = (await openCells(known)).all
  for (const levels of LEVELS) {
    for (const subject of SUBJECTS) await computeRow(cells.compute, before, assets, subject, levels, runner)
    if (levels !== LEVELS[0]) continue
    for (const ranges of RANGES.slice(1))
      for (const subject of SUBJECTS)
        await cells.compute(`${subject.name} ${levels} all ${nameOf(ranges)}`, () =>
          measure(assets, subject, runner, { levels, activations: activations('all', ranges) }),
        )
  }
  for (const which of [null, 'by shape', 'all'] as const)
    await cells.compute(sizeKey(which), () =>
      measure(assets, subjectOf('mobilenet'), runner, {
        ...MIXED,
        ...(which !== null && { activations: activations(which) }),
      }),
    )
  const page = await readFile(PAGE, 'utf8')
  const printed = printedOn('npm run int8', runner.name)
  const tables = accuracyTables({ ...before, ...cells.all })
  await writeFile(PAGE, page.replace(ACCURACY, `$1${tables}\n${printed}\n$2`))
}

async function computeRow(
  compute: (key: string, measure: () => Promise<Cell>) => Promise<Cell>,
  before: Cells,
  assets: string,
  subject: Subject,
  levels: number,
  runner: Runner,
): Promise<void> {
  for (const { name, options } of METHODS) {
    // The preset is for the smallest alphabet, on the network that loses most there.
    if (name === 'best' && (levels !== 3 || subject.name !== 'resnet20')) continue
    const key = `${subject.name} ${levels} ${name}`
    const task = { levels, ...options }
    for (const which of levels === LEVELS[0] ? (['all', 'by shape'] as const) : (['all'] as const))
      await compute(`${key} made up, ${which}`, () =>
        measure(assets, subject, runner, { ...task, activations: activations(which) }),
      )
    await compute(`${key} afterwards, all`, () =>
      measureAfterwards(assets, subject, runner, { ...task, activations: activations('all') }),
    )
    if (before[key] === undefined) await compute(key, () => measure(assets, subject, runner, task))
  }
}

/** The part of the page between the markers. */
const ACCURACY = /(<!-- accuracy:begin -->\n).*(<!-- accuracy:end -->)/s

const format = (cells: Cells, subject: string, key: string): string => {
  const value = cells[key]?.value
  if (value === undefined) return '–'
  return subject === 'llama' ? value.toFixed(3) : (100 * value).toFixed(2)
}

function accuracyTables(cells: Cells): string {
  const columns = ['', ' afterwards, all', ' made up, all', ' made up, by shape']
  const rows = SUBJECTS.flatMap(({ name }) =>
    LEVELS.toSorted((a, b) => b - a).flatMap((levels) =>
      METHODS.flatMap((method) => {
        const key = `${name} ${levels} ${method.name}`
        if (cells[`${key} made up, all`] === undefined) return []
        const values = columns.map((column) => format(cells, name, `${key}${column}`))
        const float = format(cells, name, `${name} float`)
        return [`| ${[name, levels, method.name, float, ...values].join(' | ')} |`]
      }),
    ),
  )
  const ranges = SUBJECTS.map(({ name }) => {
    const rounded = RANGES.slice(1).map((rule) => `${name} ${LEVELS[0]} all ${nameOf(rule)}`)
    const keys = [`${name} ${LEVELS[0]} gpfq`, `${name} ${LEVELS[0]} gpfq made up, all`, ...rounded]
    return `| ${[name, ...keys.map((key) => format(cells, name, key))].join(' | ')} |`
  })
  return [
    '| model | levels | method | float | weights | + activations afterwards | made up for | made up for, layers by shape |',
    '|---|---|---|---|---|---|---|---|',
    ...rows,
    '',
    `| model, 15 levels, all layers | weights | ${RANGES.map(nameOf).join(' | ')} |`,
    `|---|---|${RANGES.map(() => '---|').join('')}`,
    ...ranges,
    '',
    '| mobilenet, 5 bits a weight on average, `best` | top-1 | file |',
    '|---|---|---|',
    ...([null, 'by shape', 'all'] as const).map((which) => {
      const cell = cells[sizeKey(which)]
      const name =
        which === null
          ? 'weights'
          : `weights and activations, ${which === 'all' ? 'all layers' : 'layers by shape'}`
      return `| ${name} | ${format(cells, 'mobilenet', sizeKey(which))} | ${((cell?.bytes ?? 0) / 1000).toFixed(1)} kB |`
    }),
    '',
  ].join('\n')
}

await main()
