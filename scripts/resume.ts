/**
 * `npm run resume`: kills runs of two models at random moments, resumes each, and compares the bytes with those of a run without
 * interruption. Prints what was lost, and writes it into docs/RESUME.md. `npm run resume -- ASSETS KILLS` takes another folder of
 * models and another number of kills.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createRunner } from '#src/calibration/onnxRuntime.js'
import { randomFrom } from '../test/random.js'
import { after, type Command, killAndResume, type Loss, run } from './killed.js'
import { findAssets, printedOn, type Subject, subjectOf } from './subjects.js'

const MAIN = fileURLToPath(new URL('../dist/src/cli/main.js', import.meta.url))
const PAGE = join('docs', 'RESUME.md')
const KILLS = Number(process.argv[3] ?? 40)
const SEED = 1

/** Kills from one run without interruption to the next. */
const WHOLE_EVERY = 8

/** Fewer samples than for accuracy: the share that is lost is the same. */
const RUNS = [
  { name: 'resnet20', samples: 128 },
  { name: 'mobilenet', samples: 32 },
] as const

function argumentsOf(assets: string, { model, calibration, feeds }: Subject, samples: number): string[] {
  const { scale, mean, std } = feeds
  const options = { '--scale': scale, '--mean': mean, '--std': std, '--samples': samples }
  return [
    join(assets, model),
    ...['--calib', join(assets, calibration)],
    ...Object.entries(options).flatMap(([name, value]) => (value === undefined ? [] : [name, String(value)])),
  ]
}

const medianOf = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0

interface Result {
  readonly name: string
  readonly samples: number
  readonly whole: number
  readonly losses: readonly Loss[]
  readonly different: number
}

async function measure(assets: string, name: string, samples: number): Promise<Result> {
  const random = randomFrom(SEED)
  const folder = await mkdtemp(join(tmpdir(), 'gpfq-resume-'))
  try {
    const command: Command = {
      main: MAIN,
      args: argumentsOf(assets, subjectOf(name), samples),
      output: join(folder, 'out.onnx'),
    }
    const { sha256, seconds } = await run(command)
    console.log(`${name}: ${seconds.toFixed(1)} s without interruption, SHA-256 ${sha256}`)
    const times = [seconds]
    const losses: Loss[] = []
    let different = 0
    for (let kill = 1; kill <= KILLS; kill++) {
      // In turn with the others, so that all have the same share of a busy machine.
      if (kill % WHOLE_EVERY === 0) times.push((await run(command)).seconds)
      const checkpoint = join(folder, `run${kill}`)
      const loss = await killAndResume({ ...command, checkpoint }, after(random() * medianOf(times)))
      await rm(checkpoint, { recursive: true })
      if (loss.resumed.sha256 !== sha256) different++
      losses.push(loss)
      const { killedAfter, finished, stages, resumed, again } = loss
      console.log(
        `${String(kill).padStart(4)}: killed after ${killedAfter.toFixed(1)} s, ${finished} of ${stages} stages finished, ` +
          `resumed ${resumed.seconds.toFixed(1)} s, ${again} files again, ${resumed.sha256 === sha256 ? 'same bytes' : 'OTHER BYTES'}`,
      )
    }
    return { name, samples, whole: medianOf(times), losses, different }
  } finally {
    await rm(folder, { recursive: true })
  }
}

const QUARTERS = ['0 to 25 %', '25 to 50 %', '50 to 75 %', '75 to 100 %'] as const

function rows({ name, samples, whole, losses }: Result): readonly string[] {
  return QUARTERS.flatMap((title, quarter) => {
    const own = losses.filter(({ finished, stages }) => {
      const share = stages === 0 ? 0 : finished / stages
      return Math.min(3, Math.floor(4 * share)) === quarter
    })
    if (own.length === 0) return []
    const mean = (of: (loss: Loss) => number): string =>
      (own.reduce((sum, loss) => sum + of(loss), 0) / own.length).toFixed(1)
    const values = [
      mean(({ killedAfter }) => killedAfter),
      mean(({ resumed }) => resumed.seconds),
      mean(({ killedAfter, resumed }) => killedAfter + resumed.seconds - whole),
    ]
    const model = `${name}, ${samples} samples, ${whole.toFixed(1)} s`
    return [`| ${model} | ${title} | ${own.length} | ${values.join(' | ')} |`]
  })
}

function table(results: readonly Result[], runner: string): string {
  const sum = (of: (result: Result) => number): number => results.reduce((total, own) => total + of(own), 0)
  const kills = sum(({ losses }) => losses.length)
  const again = sum(({ losses }) => losses.reduce((total, loss) => total + loss.again, 0))
  return [
    '| model, time without interruption | stages finished at the kill | kills | killed after, s | second run, s | lost, s |',
    '|---|---|---|---|---|---|',
    ...results.flatMap(rows),
    '',
    `${kills} kills, ${sum(({ different }) => different)} files with other bytes, ${again} finished layers computed again.`,
    '',
    printedOn('npm run resume', runner),
  ].join('\n')
}

async function main(): Promise<void> {
  const assets = findAssets()
  if (assets === null) return
  const results: Result[] = []
  for (const { name, samples } of RUNS) results.push(await measure(assets, name, samples))
  const text = table(results, (await createRunner()).name)
  console.log(text)
  const page = await readFile(PAGE, 'utf8')
  await writeFile(
    PAGE,
    page.replace(/(?<=<!-- kills:begin -->\n)[\s\S]*(?=<!-- kills:end -->)/, () => `\n${text}\n\n`),
  )
  if (results.some(({ different, losses }) => different > 0 || losses.some(({ again }) => again > 0)))
    process.exitCode = 1
}

await main()
