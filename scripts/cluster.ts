/**
 * `npm run cluster`: a cluster on this machine, of a Redis and of workers with one thread each, against one process. Prints whether
 * the bytes are those of one machine for 1, 2 and 3 workers, what travels, how much faster two workers are, runs with faults, and a
 * forecast; writes them into docs/CLUSTER.md. `npm run cluster -- ASSETS FAULTS SEED PART` takes another folder of models, another number
 * of faults and another seed, and one part alone.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createRunner } from '#src/calibration/onnxRuntime.js'
import { buildWorker, hasRedis } from '../test/cluster/machines.js'
import { randomFrom } from '../test/random.js'
import { FAULTS, type FaultResult, runWithFault } from './cluster/faults.js'
import { forecast, forecastStages, measureRates } from './cluster/forecast.js'
import { alone, argumentsOf, withMachines } from './cluster/machines.js'
import { measureTraffic } from './cluster/traffic.js'
import { findAssets, printedOn, subjectOf } from './subjects.js'

const PAGE = join('docs', 'CLUSTER.md')
const COUNT = Number(process.argv[3] ?? 40)
const SEED = Number(process.argv[4] ?? 1)
const PARTS = ['bytes', 'traffic', 'efficiency', 'faults', 'forecast'] as const
type Part = (typeof PARTS)[number]

/** Fewer samples than for accuracy where only bytes count. */
const SMALL = [
  { name: 'resnet20', samples: 128 },
  { name: 'llama', samples: 32 },
] as const
const LARGE = 4000
const SPEEDS = 3

const short = (sha256: string | null): string => `\`${(sha256 ?? 'none').slice(0, 16)}\``

async function bytes(assets: string): Promise<readonly string[]> {
  const rows: string[] = []
  for (const { name, samples } of SMALL) {
    const args = argumentsOf(assets, subjectOf(name), samples)
    const expected = (await alone(args, 2)).sha256
    const found = [short(expected)]
    for (const workers of [1, 2, 3]) {
      const { sha256 } = await withMachines(workers, false, ({ quantize }) => quantize(args))
      if (sha256 !== expected) process.exitCode = 1
      found.push(sha256 === expected ? 'same' : `OTHER: ${short(sha256)}`)
    }
    rows.push(`| ${name}, ${samples} samples | ${found.join(' | ')} |`)
    console.log(rows.at(-1))
  }
  return [
    '| model | one machine, SHA-256 | 1 worker | 2 workers | 3 workers |',
    '|---|---|---|---|---|',
    ...rows,
  ]
}

async function traffic(assets: string): Promise<readonly string[]> {
  const { name, samples } = SMALL[0]
  const rows = await measureTraffic(assets, subjectOf(name), samples, 2)
  const kilo = (value: number): string => Math.round(value / 1000).toLocaleString('en')
  const row = (title: string, own: readonly number[]): string => `| ${title} | ${own.map(kilo).join(' | ')} |`
  const sums = (['queue', 'toStore', 'fromStore'] as const).map((key) =>
    rows.reduce((sum, own) => sum + own[key], 0),
  )
  return [
    `${name}, ${samples} samples, 2 workers; kB; a row is what travels until these layers are reported. The first one has the model and`,
    'the samples. Text in Redis takes a third more than bytes.',
    '',
    '| layers solved | queue | to the store | from the store |',
    '|---|---|---|---|',
    ...rows.map(({ layers, queue, toStore, fromStore }) =>
      row(layers.join(', '), [queue, toStore, fromStore]),
    ),
    row('all', sums),
  ]
}

async function efficiency(assets: string): Promise<readonly string[]> {
  const name = 'resnet20'
  const args = argumentsOf(assets, subjectOf(name), LARGE)
  const times = { one: [] as number[], two: [] as number[] }
  for (let i = 0; i < SPEEDS; i++) {
    times.one.push((await alone(args, 2)).seconds)
    const { seconds } = await withMachines(2, false, ({ quantize }) => quantize(args))
    times.two.push(seconds)
    console.log(`${times.one.at(-1)!.toFixed(1)} s, ${times.two.at(-1)!.toFixed(1)} s`)
  }
  const [one, two] = [times.one, times.two].map((own) => Math.min(...own))
  return [
    `${name}, ${LARGE} samples, the least of ${SPEEDS} runs in turn, with the start of the command: one process of two threads ` +
      `${one!.toFixed(1)} s, two workers of one thread ${two!.toFixed(1)} s: efficiency ${(one! / two!).toFixed(2)}.`,
  ]
}

async function faults(assets: string): Promise<readonly string[]> {
  const random = randomFrom(SEED)
  const [name, samples] = ['resnet20', 32]
  const args = argumentsOf(assets, subjectOf(name), samples)
  const expected = (await alone(args, 1)).sha256
  const { whole, jobs } = await withMachines(2, false, async (machines) => {
    const { seconds } = await machines.quantize(args)
    return { whole: seconds, jobs: machines.taken }
  })
  const results: FaultResult[] = []
  for (let i = 0; i < COUNT; i++) {
    const at = { jobs: 1 + Math.floor(random() * jobs), more: (1000 * random() * whole) / jobs }
    const result = await runWithFault(args, FAULTS[i % FAULTS.length]!, at, random)
    results.push(result)
    const { fault, inTime, commands, seconds, said, sha256 } = result
    const same = sha256 === expected ? 'same bytes' : 'OTHER BYTES'
    const when = `${inTime ? 'at' : 'ended before'} job ${at.jobs} of ${jobs} and ${at.more.toFixed(0)} ms`
    console.log(
      `${i + 1}: ${fault}, ${when}: ${commands} commands, ${seconds.toFixed(1)} s, ${same} ${said.join(' | ')}`,
    )
    if (sha256 !== expected) process.exitCode = 1
  }
  const rows = FAULTS.map((fault) => {
    const own = results.filter((result) => result.fault === fault && result.inTime)
    const same = own.filter(({ sha256 }) => sha256 === expected).length
    const resumed = own.filter(({ commands }) => commands > 1).length
    const mean = own.reduce((sum, { seconds }) => sum + seconds, 0) / Math.max(1, own.length)
    return `| ${fault} | ${own.length} | ${same} | ${resumed} | ${mean.toFixed(1)} |`
  })
  return [
    `${name}, ${samples} samples, 2 workers, ${jobs} jobs in ${whole.toFixed(1)} s without a fault; seed ${SEED}:`,
    '',
    '| fault at a random moment | runs | same bytes in the end | runs that took the command again | mean time, s |',
    '|---|---|---|---|---|',
    ...rows,
  ]
}

async function sevenBillion(): Promise<readonly string[]> {
  const rates = await measureRates()
  const giga = (rate: number): string => (rate / 1e9).toFixed(1)
  return [
    '32 blocks of 4096 and 11008, 128 × 512 tokens, 4 bits with searched scales. Assumed: machines of 16 cores, each as fast as a thread here',
    `(${giga(rates.observe)} billion multiply-adds a second for sums, ${giga(rates.solve)} for solving), the networks at the rate of sums, a store that`,
    'moves 1.25 GB/s in all, one step after another, float32 weights whole on each machine, and no judging of layers. Hours, for all blocks:',
    '',
    '| machines | networks | H and G | solving | store | all | TB moved | GB a machine | most of it |',
    '|---|---|---|---|---|---|---|---|---|',
    ...forecast(rates),
    '',
    'A block, by stage, with what the store moves:',
    '',
    '| stage, inputs × neurons | 1 machine | 4 | 16 | 64 |',
    '|---|---|---|---|---|',
    ...forecastStages(rates),
  ]
}

const SECTIONS: Readonly<Record<Part, (assets: string) => Promise<readonly string[]>>> = {
  ...{ bytes, traffic, efficiency, faults },
  forecast: sevenBillion,
}

async function main(): Promise<void> {
  const assets = findAssets()
  if (assets === null) return
  if (!hasRedis) {
    console.error('skipped: expected redis-server on the path, got none')
    return
  }
  await buildWorker()
  const runner = (await createRunner()).name
  for (const part of PARTS.filter((own) => (process.argv[5] ?? own) === own)) {
    const text = [...(await SECTIONS[part](assets)), '', printedOn('npm run cluster', runner)].join('\n')
    console.log(text)
    const page = await readFile(PAGE, 'utf8')
    const place = new RegExp(`(?<=<!-- ${part}:begin -->\\n)[\\s\\S]*(?=<!-- ${part}:end -->)`)
    await writeFile(
      PAGE,
      page.replace(place, () => `\n${text}\n\n`),
    )
  }
}

await main()
process.exit()
