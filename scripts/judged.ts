/**
 * `npm run judged` writes docs/JUDGED.md: what judging on samples kept out of calibration is worth, where samples are
 * plenty and where they are few: the reference models on their whole test sets, with all samples and no judging, and with the
 * default. Resumable like `npm run accuracy`: finished cells are stored in docs/judged.json, and the page has the rows that are
 * finished.
 */
import { writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { createOrtWebRunner } from '#src/calibration/onnxRuntime.js'
import { type Cell, openCells } from './cells.js'
import { findAssets, measure, printedOn, SUBJECTS, type Subject } from './subjects.js'

/** So few that most layers have fewer sample rows than four times their inputs. */
const FEW = 32

const WAYS = [
  { name: 'rounding', task: { method: 'msq', radius: { rule: 'mse' } } },
  { name: 'gpfq on all samples', task: {} },
  { name: 'with damping .1', task: { damping: 0.1 } },
  { name: 'gpfq, judged', task: { judged: true } },
] as const

async function main(): Promise<void> {
  const assets = findAssets()
  if (assets === null) return
  const cells = await openCells(join('docs', 'judged.json'))
  const runner = await createOrtWebRunner({ threads: availableParallelism() })
  const lines: string[] = []
  for (const samples of [null, FEW]) {
    for (const subject of SUBJECTS) {
      for (const levels of [15, 3]) {
        const count = samples ?? subject.calibrationSamples
        const row: string[] = []
        for (const { name, task } of WAYS) {
          const key = `${subject.name} ${levels} ${count} ${name}`
          const cell = await cells.compute(key, () =>
            measure(assets, subject, runner, { levels, samples: count, ...task }),
          )
          row.push(format(subject, cell))
        }
        lines.push(`| ${subject.name} | ${levels} | ${count} | ${row.join(' | ')} |`)
        await writeFile(join('docs', 'JUDGED.md'), page(lines, runner.name))
      }
    }
  }
}

const format = ({ name }: Subject, { value }: Cell): string =>
  name === 'llama' ? value.toFixed(3) : (100 * value).toFixed(2)

const page = (
  lines: readonly string[],
  runner: string,
): string => `# Judged on samples kept out of calibration

Top-1 in percent on whole test sets, and perplexity for llama (lower is better); the models and data are those of
[ACCURACY.md](ACCURACY.md), with its noise: about ±0.3 points on 10,000 images, ±1.5 on the 1,000 of mobilenet. Rounding has the
scales of least weight error. Judged is the default of \`gpfq quantize\`: an eighth of the samples, at least 8 of 32, is kept out
of calibration and decides between path following, damped paths and rounding for each layer ([METHODS.md](METHODS.md)). Damping .1
is \`--damping 0.1 --holdout 0\`: the same for all layers.

| model | levels | samples | ${WAYS.map(({ name }) => name).join(' | ')} |
|---|---|---|---|---|---|
${lines.join('\n')}

${printedOn('npm run judged', runner)}
`

await main()
