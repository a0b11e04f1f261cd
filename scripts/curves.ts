/**
 * `npm run curves`: the pictures of docs/curves: accuracy and time against the number of calibration images, and output
 * error layer by layer (accuracy against file size is `npm run mixed`). Resumable: finished cells are stored in
 * docs/curves.json, and the page lists the pictures that are finished.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { createOrtWebRunner } from '#src/calibration/onnxRuntime.js'
import { type Cell, type CellStore, openCells } from './cells.js'
import { linePlot, type Panel } from './plot.js'
import { findAssets, measure, printedOn, subjectOf, type Task } from './subjects.js'

type Measure = (key: string, subject: string, task: Task) => Promise<Cell>

const SIZES = [16, 32, 64, 128, 256, 512, 1024, 2048] as const

const METHODS = [
  { name: 'rounding, max', task: { method: 'msq', radius: { rule: 'max' } } },
  { name: 'gpfq', task: { method: 'gpfq' } },
  { name: 'gpfq, 3 passes', task: { method: 'gpfq', passes: 3 } },
  { name: 'best (qronos, 3 passes)', task: { preset: 'best' } },
] as const

async function main(): Promise<void> {
  const assets = findAssets()
  if (assets === null) return
  const cells: CellStore = await openCells(join('docs', 'curves.json'))
  const runner = await createOrtWebRunner({ threads: availableParallelism() })
  const run: Measure = (key, subject, task) =>
    cells.compute(key, () => measure(assets, subjectOf(subject), runner, task))
  await mkdir(join('docs', 'curves'), { recursive: true })
  for (const [i, { name, panels }] of PICTURES.entries()) {
    await writeFile(join('docs', 'curves', `${name}.svg`), linePlot(await panels(run)))
    await writeFile(join('docs', 'CURVES.md'), page(PICTURES.slice(0, i + 1), runner.name))
  }
}

const percent = ({ value }: Cell): number => 100 * value

/** Accuracy and time of resnet20 against the number of calibration images. */
async function calibrationPanels(run: Measure): Promise<Panel[]> {
  const accuracy: Panel['series'][number][] = []
  const time: Panel['series'][number][] = []
  for (const levels of [15, 3]) {
    for (const color of [1, 3] as const) {
      const { name, task } = METHODS[color]
      const points: [number, Cell][] = []
      for (const samples of SIZES) {
        const key = `resnet20 ${levels} ${name}, ${samples} images`
        points.push([samples, await run(key, 'resnet20', { levels, samples, ...task })])
      }
      const look = { name: `${name}, ${levels} levels`, color, dashed: levels === 3 }
      accuracy.push({ ...look, points: points.map(([samples, cell]) => [samples, percent(cell)]) })
      time.push({ ...look, points: points.map(([samples, { seconds }]) => [samples, seconds]) })
    }
  }
  const x = { name: 'calibration images', type: 'log', logBase: 2, min: 16, max: 2048 } as const
  return [
    { title: 'resnet20: top-1', x, y: { name: 'top-1, %', type: 'value' }, series: accuracy },
    { title: 'time to quantize', x, y: { name: 'seconds', type: 'value', min: 0 }, series: time },
  ]
}

/** Relative output error of each layer of resnet20. */
async function layerPanels(run: Measure): Promise<Panel[]> {
  const panels: Panel[] = []
  for (const levels of [15, 3]) {
    const series: Panel['series'][number][] = []
    for (const [color, { name, task }] of METHODS.entries()) {
      const cell = await run(`resnet20 ${levels} ${name}, by layer`, 'resnet20', {
        ...{ levels, profile: true },
        ...task,
      })
      const points = (cell.errors ?? []).map((error, i) => [String(i + 1), error] as const)
      series.push({ name, color, points })
    }
    panels.push({
      title: `resnet20, ${levels} levels: output error by layer`,
      x: { name: 'layer', type: 'category' },
      y: { name: '‖XW − XqQ‖ / ‖XW‖', type: 'log', logBase: 2 },
      series,
    })
  }
  return panels
}

interface Picture {
  readonly name: string
  readonly title: string
  readonly text: readonly string[]
  readonly alt: string
  readonly panels: (run: Measure) => Promise<Panel[]>
}

/** In the order they are measured. */
const PICTURES: readonly Picture[] = [
  {
    name: 'layers',
    title: 'Where the error is',
    text: [
      'The picture shows the relative output error of each layer, in the order of the network, on 1,024 calibration images. The error',
      'grows with depth only where later layers cannot correct the errors of earlier ones. Rounding does not correct them: at 3 levels',
      'its error in the last layers is far larger than the signal.',
    ],
    alt: 'output error by layer, for four methods',
    panels: layerPanels,
  },
  {
    name: 'calibration',
    title: 'How many calibration images',
    text: [
      'The images are the first of the training set. At 15 levels 32 images are enough. At 3 levels a few hundred are worth their time,',
      'which is linear in their number. With 16 images and 3 levels, `best` is less accurate than `gpfq`. Times are of one run of',
      'quantizeModel each.',
    ],
    alt: 'top-1 and time against the number of images',
    panels: calibrationPanels,
  },
]

const page = (pictures: readonly Picture[], runner: string): string =>
  [
    '# Curves',
    '',
    'All accuracies are on the whole test set of 10,000 images. [MIXED.md](MIXED.md) has accuracy against file size.',
    '',
    ...pictures.flatMap(({ name, title, text, alt }) => [
      ...[`## ${title}`, '', ...text, '', `![${alt}](curves/${name}.svg)`, ''],
    ]),
    printedOn('npm run curves', runner),
    '',
  ].join('\n')

await main()
