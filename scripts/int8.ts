/**
 * `npm run int8`: the tables of accuracy of docs/INT8.md. Quantizes the five reference models with weights alone, with
 * activations rounded after the weights were chosen, and with weights that make up for the rounding of activations; and
 * compares the rules for ranges. Each is scored on its whole test set. Resumable, as `npm run accuracy`: finished cells are in
 * docs/int8.json.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { createOrtWebRunner } from '#src/calibration/onnxRuntime.js'
import type { Runner } from '#src/calibration/runner.js'
import type { ActivationOptions, ActivationRanges, MethodOptions } from '#src/options.js'
import { type Cell, type Cells, openCells } from './cells.js'
import { measureAfterwards } from './roundedAfterwards.js'
import { findAssets, measure, measureFloat, printedOn, SUBJECTS, type Subject } from './subjects.js'

const LEVELS = [255, 15, 7, 3] as const

/** Which layers run on integers: those that the table of costs chooses, or all that can. */
type Which = 'by shape' | 'all'

const activations = (which: Which, ranges: ActivationRanges = { rule: 'minmax' }): ActivationOptions => ({
  ...{ bits: 8, ranges },
  for: which === 'all' ? [{ pattern: '*', kernel: 'int8' }] : [],
})

const RANGES: readonly ActivationRanges[] = [
  { rule: 'minmax' },
  { rule: 'percentile', percentile: 99.9 },
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

const store = join('docs', 'int8.json')
const PAGE = join('docs', 'INT8.md')

async function main(): Promise<void> {
  const assets = findAssets()
  if (assets === null) return
  const cells = await openCells(store)
  const runner = await createOrtWebRunner({ threads: availableParallelism() })
  for (const subject of SUBJECTS)
    await cells.compute(`${subject.name} float`, () => measureFloat(assets, subject, runner))
  for (const levels of LEVELS)
    for (const subject of SUBJECTS) await computeRow(cells.compute, assets, subject, levels, runner)
  for (const ranges of RANGES) {
    for (const subject of SUBJECTS)
      await cells.compute(`${subject.name} 15 all ${nameOf(ranges)}`, () =>
        measure(assets, subject, runner, { levels: 15, activations: activations('all', ranges) }),
      )
  }
  const page = await readFile(PAGE, 'utf8')
  const printed = printedOn('npm run int8', runner.name)
  await writeFile(PAGE, page.replace(ACCURACY, `$1${accuracyTables(cells.all)}\n${printed}\n$2`))
}

async function computeRow(
  compute: (key: string, measure: () => Promise<Cell>) => Promise<Cell>,
  assets: string,
  subject: Subject,
  levels: number,
  runner: Runner,
): Promise<void> {
  for (const { name, options } of METHODS) {
    if (name === 'best' && levels !== 3) continue
    const key = `${subject.name} ${levels} ${name}`
    const task = { levels, ...options }
    await compute(`${key} weights`, () => measure(assets, subject, runner, task))
    await compute(`${key} afterwards, all`, () =>
      measureAfterwards(assets, subject, runner, { ...task, activations: activations('all') }),
    )
    for (const which of ['by shape', 'all'] as const)
      await compute(`${key} made up, ${which}`, () =>
        measure(assets, subject, runner, { ...task, activations: activations(which) }),
      )
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
  const columns = ['weights', 'afterwards, all', 'made up, all', 'made up, by shape']
  const rows = SUBJECTS.flatMap(({ name }) =>
    LEVELS.flatMap((levels) =>
      METHODS.flatMap((method) => {
        const key = `${name} ${levels} ${method.name}`
        if (cells[`${key} weights`] === undefined) return []
        const values = columns.map((column) => format(cells, name, `${key} ${column}`))
        const float = format(cells, name, `${name} float`)
        return [`| ${[name, levels, method.name, float, ...values].join(' | ')} |`]
      }),
    ),
  )
  const ranges = SUBJECTS.map(({ name }) => {
    const values = RANGES.map((rule) => format(cells, name, `${name} 15 all ${nameOf(rule)}`))
    return `| ${[name, format(cells, name, `${name} 15 gpfq weights`), ...values].join(' | ')} |`
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
  ].join('\n')
}

await main()
