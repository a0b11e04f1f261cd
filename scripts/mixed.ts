/**
 * `npm run mixed`: levels chosen by layer compared with the same levels everywhere, in files that are not larger, for
 * two models (docs/MIXED.md). Resumable: finished cells are stored in docs/mixed.json.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { createOrtWebRunner } from '#src/calibration/onnxRuntime.js'
import { readBytes } from '#src/data/files.js'
import { planModel } from '#src/model/quantizeModel.js'
import { digitTableBytes, planPacking } from '#src/onnx/formats/packed.js'
import { type Cell, type Cells, openCells } from './cells.js'
import { linePlot } from './plot.js'
import { findAssets, measure, measureFloat, printedOn, type Subject, subjectOf } from './subjects.js'

const NAMES = ['resnet20', 'mobilenet'] as const
const LEVELS = [4, 5, 7, 15] as const
const RULES = [
  { name: 'best', task: { preset: 'best' }, names: NAMES },
  { name: 'gpfq', task: { method: 'gpfq' }, names: ['resnet20'] },
] as const

/** Margins in bytes, tried in turn until the mixed file is not the larger one: plans only estimate nodes and names. */
const MARGINS = [0, 400, 800, 1600] as const

async function main(): Promise<void> {
  const assets = findAssets()
  if (assets === null) return
  const cells = await openCells(join('docs', 'mixed.json'))
  const runner = await createOrtWebRunner({ threads: availableParallelism() })
  await mkdir(join('docs', 'curves'), { recursive: true })
  for (const name of NAMES)
    await cells.compute(`${name} float`, () => measureFloat(assets, subjectOf(name), runner))
  for (const { name: rule, task, names } of RULES) {
    for (const levels of LEVELS) {
      for (const name of names) {
        const subject = subjectOf(name)
        const uniform = await cells.compute(`${name} ${levels} ${rule}, uniform`, () =>
          measure(assets, subject, runner, { levels, ...task }),
        )
        await cells.compute(`${name} ${levels} ${rule}, mixed`, async () => {
          for (const margin of MARGINS) {
            const targetSize = await shareOf(assets, subject, levels, margin)
            const mixed = await measure(assets, subject, runner, { targetSize, ...task })
            if (mixed.bytes <= uniform.bytes) return mixed
          }
          throw new Error(`mixed: expected a file of at most ${uniform.bytes} bytes, got larger ones`)
        })
        await writeFile(join('docs', 'MIXED.md'), page(cells.all, runner.name))
        await writeFile(join('docs', 'curves', 'sizes.svg'), picture(cells.all))
      }
    }
  }
}

/** Size of the weights at these levels, less a margin in bytes, as a share of their size as float. */
async function shareOf(assets: string, { model }: Subject, levels: number, margin: number): Promise<number> {
  const { layers } = await planModel(await readBytes(join(assets, model)), { levels })
  const table = Math.max(
    ...layers.map(({ bytesIn }) => digitTableBytes(levels, planPacking(levels, bytesIn / 4))),
  )
  const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0)
  const bytes = sum(layers.map(({ bytesOut }) => bytesOut)) + table - margin
  return bytes / sum(layers.map(({ bytesIn }) => bytesIn))
}

/** Accuracy against file size, a panel a model. */
function picture(cells: Cells): string {
  const points = (name: string, kind: string): [number, number][] =>
    LEVELS.flatMap((levels) => {
      const cell = cells[`${name} ${levels} best, ${kind}`]
      return cell === undefined ? [] : [[cell.bytes / 1000, 100 * cell.value]]
    })
  return linePlot(
    NAMES.map((name) => ({
      title: `${name}: file size against accuracy`,
      x: { name: 'file, kB', type: 'value' },
      y: { name: 'top-1, %', type: 'value' },
      series: [
        { name: 'levels chosen by layer', color: 0, points: points(name, 'mixed') },
        {
          name: `the same levels everywhere (${LEVELS.join(', ')})`,
          color: 1,
          points: points(name, 'uniform'),
        },
      ],
    })),
  )
}

const percent = (cell: Cell | undefined): string => (cell === undefined ? '–' : (100 * cell.value).toFixed(2))
const kilobytes = (cell: Cell | undefined): string =>
  cell === undefined ? '–' : (cell.bytes / 1000).toFixed(1)

function page(cells: Cells, runner: string): string {
  const rows = RULES.flatMap(({ name: rule, names }) =>
    names.flatMap((name) =>
      LEVELS.flatMap((levels) => {
        const [uniform, mixed] = ['uniform', 'mixed'].map(
          (kind) => cells[`${name} ${levels} ${rule}, ${kind}`],
        )
        if (uniform === undefined || mixed === undefined) return []
        const float = percent(cells[`${name} float`])
        const values = [percent(uniform), percent(mixed), kilobytes(uniform), kilobytes(mixed)]
        return [`| ${name} (${float}) | ${rule} | ${levels} | ${values.join(' | ')} |`]
      }),
    ),
  )
  return [
    '# Mixed precision',
    '',
    'The table compares the same levels in every layer with levels chosen for each layer (`--target-size`) in a file of the same',
    'size. Accuracy is top-1 in percent on whole test sets. Sampling noise is about ±0.3 points on the 10,000 images of resnet20',
    'and ±1.5 on the 1,000 of mobilenet. `best` is `--preset best`, and `gpfq` is the default method. Three levels are not in the',
    'table: no alphabet is smaller, so there is nothing to choose.',
    '',
    '| model (float) | method | levels | uniform | mixed | uniform, kB | mixed, kB |',
    '|---|---|---|---|---|---|---|',
    ...rows,
    '',
    '![file size against accuracy](curves/sizes.svg)',
    '',
    printedOn('npm run mixed', runner),
    '',
  ].join('\n')
}

await main()
