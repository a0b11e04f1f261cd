/**
 * A model of the scheduler: the time that 4, 8, 16 and 64 threads would take. Every tile is timed on one thread
 * (tilePool.ts) and then assigned, phase by phase and in order, to the first free of p threads. (The shares of the pool
 * only change which thread takes a tile.) The costs of taking a tile, ending a phase and starting a job are measured on
 * the real pool with kernels that do nothing, on one thread and two.
 *
 * Assumptions: threads do not slow each other (each has a core and caches of its own). Each further thread adds the
 * same cost to the end of a phase, and to the message that starts a job. The caller posts all messages before it goes
 * on, and late threads join the phase that is running. Packing reads memory and gains from `MEMORY_THREADS` threads at
 * most. The caller copies the next batch while the workers process the last one, as the packer's two slots and the
 * pool's two jobs allow.
 */
import type { Job, Task } from '#src/engine/job.js'
import { createPool, type Pool } from '#src/engine/pool.js'
import { createExecutor } from '#src/executor/choose.js'
import { loadModule } from '#src/platform/init.js'
import { type Case, cell, interleave, percent } from './measure.js'
import { type Row, type Table, table } from './table.js'
import { createTileTimer, sum, type TimedJob, type TimedRun } from './tilePool.js'
import { quantize, type Work } from './work.js'

/** Threads that the memory can serve at full speed. */
const MEMORY_THREADS = 4

/** Seconds. */
export interface Costs {
  /** Time to take a tile. */
  readonly tile: number
  /** Time of a phase without work, by number of threads. */
  phase(threads: number): number
  /** Time of a job without work, by number of threads. */
  job(threads: number): number
}

const EMPTY_JOBS = 200 // threads may be awake or asleep, which one job does not average out
const EMPTY_PHASES = 1000
const EMPTY_TILES = 100_000

/** The probe kernel with almost no work. */
const nothing = (tiles: number): Task => ({
  kernel: 'probeArithmetic',
  args: [0],
  items: tiles,
  step: 1,
})

/** The costs of the pool itself, measured on jobs without work. */
export async function measureCosts(repetitions: number): Promise<Costs> {
  const module = await loadModule()
  const [one, two] = [await createPool(1, module), await createPool(2, module)]
  const empty: Job = [[nothing(1)]]
  const phases: Job = Array.from({ length: EMPTY_PHASES }, () => [nothing(2)])
  const tiles: Job = [[nothing(EMPTY_TILES)]]
  const runs = async (pool: Pool): Promise<void> => {
    for (let i = 0; i < EMPTY_JOBS; i++) await pool.run(empty)
  }
  const times = await interleave(
    [
      { name: 'jobs 1', run: () => runs(one) },
      { name: 'jobs 2', run: () => runs(two) },
      { name: 'phases 1', run: () => one.run(phases) },
      { name: 'phases 2', run: () => two.run(phases) },
      { name: 'tiles 1', run: () => one.run(tiles) },
    ],
    repetitions,
  )
  await one.close()
  await two.close()
  const least = (name: string): number => times.get(name)!.min
  const job = [1, 2].map((count) => least(`jobs ${count}`) / EMPTY_JOBS)
  const tile = (least('tiles 1') - job[0]!) / EMPTY_TILES
  const phase = [1, 2].map((count, i) => (least(`phases ${count}`) - job[i]!) / EMPTY_PHASES)
  const grown = ([first = 0, second = 0]: readonly number[], threads: number): number =>
    Math.max(0, first + (threads - 1) * Math.max(0, second - first))
  return {
    tile,
    phase: (threads) => grown(phase, threads),
    job: (threads) => grown(job, threads),
  }
}

/** A modelled run on more threads, in seconds of the workers. */
export interface Predicted {
  readonly wall: number
  /** Thread-seconds without work, by the kernel of the phase in which they occur. */
  readonly idle: ReadonlyMap<string, number>
}

/**
 * Assigns tiles in order, each to the first free thread.
 * @param free time at which each thread can begin, seconds
 * @returns when the last tile is done
 */
export function listSchedule(tiles: readonly number[], free: readonly number[], perTile: number): number {
  const busyUntil = [...free]
  let end = 0
  for (const tile of tiles) {
    let next = 0
    for (let thread = 1; thread < free.length; thread++) {
      if (busyUntil[thread]! < busyUntil[next]!) next = thread
    }
    busyUntil[next] = busyUntil[next]! + perTile + tile
    end = Math.max(end, busyUntil[next]!)
  }
  return end
}

/** Jobs that only add samples: the caller prepares the next batch while they run. */
const STREAMED = ['padPlanes', 'pack', 'gram']

export function predict({ jobs, after }: TimedRun, costs: Costs, threads: number): Predicted {
  const idle = new Map<string, number>()
  let caller = 0
  let ends: readonly [number, number] = [0, 0] // of the last two jobs
  for (const job of jobs) {
    const streamed = job.phases.flat().every(({ kernel }) => STREAMED.includes(kernel))
    const posted = Math.max(caller, streamed ? ends[0] : ends[1]) + job.before
    // Thread i receives its message i messages later than the first thread, and joins the phase that runs then.
    const heard = Array.from({ length: threads }, (_, thread) => posted + costs.job(thread + 1))
    ends = [ends[1], jobEnd(job, heard, Math.max(heard[0]!, ends[1]), costs, idle)]
    caller = posted + costs.job(threads) - costs.job(1)
  }
  return { wall: Math.max(caller, ends[1]) + after, idle }
}

/** Time of the last tile of a job that begins `now`, on threads that receive its message at the times `heard`. */
function jobEnd(
  { phases }: TimedJob,
  heard: readonly number[],
  begin: number,
  costs: Costs,
  idle: Map<string, number>,
): number {
  const threads = heard.length
  let now = begin
  for (const phase of phases) {
    const tiles = phase.flatMap((task) => task.tiles)
    const kernel = phase[0]?.kernel ?? ''
    const busy = sum(tiles) + tiles.length * costs.tile
    const free = heard.map((at) => Math.max(at, now))
    const least = kernel === 'pack' ? now + busy / Math.min(threads, MEMORY_THREADS) : now
    const end = Math.max(least, listSchedule(tiles, free, costs.tile)) + costs.phase(threads)
    idle.set(kernel, (idle.get(kernel) ?? 0) + threads * (end - now) - busy)
    now = end
  }
  return now
}

/** The shortest of several runs, tile by tile, which excludes the delays of a busy machine. */
function leastOf(runs: readonly TimedRun[]): TimedRun {
  const [first] = runs
  if (first === undefined) return { jobs: [], after: 0 }
  const least = (value: (run: TimedRun) => number): number => Math.min(...runs.map(value))
  return {
    after: least(({ after }) => after),
    jobs: first.jobs.map((job, j) => ({
      before: least(({ jobs }) => jobs[j]!.before),
      phases: job.phases.map((phase, p) =>
        phase.map(({ kernel, tiles }, t) => ({
          kernel,
          tiles: tiles.map((_, i) => least(({ jobs }) => jobs[j]!.phases[p]![t]!.tiles[i]!)),
        })),
      ),
    })),
  }
}

const PREDICTED = [1, 2, 4, 8, 16, 64]

export async function benchThreadsModel(works: readonly (() => Work)[], repetitions: number): Promise<Table> {
  const costs = await measureCosts(repetitions)
  const rows: Row[] = []
  for (const make of works) {
    const work = make()
    const timer = await createTileTimer()
    const executors = [await createExecutor({ threads: 1 }), await createExecutor({ threads: 2 })]
    const runs: TimedRun[] = []
    const cases: Case[] = executors.map((executor) => ({
      name: `${executor.threads}`,
      run: () => quantize(executor, work),
    }))
    const tiles: Case = {
      name: 'tiles',
      run: async () => void runs.push(await timer.time(() => quantize(timer.executor, work))),
    }
    const times = await interleave([...cases, tiles], repetitions)
    for (const executor of executors) await executor.close()
    const run = leastOf(runs.slice(1)) // the first was the warm-up
    const base = predict(run, costs, 1).wall
    const [one, two] = [times.get('1')!, times.get('2')!]
    rows.push({
      layer: work.name,
      Xq: work.shape.streamsEqual ? '= X' : '≠ X',
      '1 thread, measured': cell(one),
      '1, model': base.toFixed(4),
      '2 threads, measured': cell(two, 's', ` (${(one.min / two.min).toFixed(2)}×)`),
      ...Object.fromEntries(
        PREDICTED.slice(1).map((threads) => [
          `${threads}, model`,
          `${(base / predict(run, costs, threads).wall).toFixed(2)}×`,
        ]),
      ),
      'idle at 16, most in': mostIdle(predict(run, costs, 16), 16),
    })
  }
  const micro = (seconds: number): string => `${(1e6 * seconds).toFixed(1)} µs`
  return table(
    `Threads, by the model of bench/scheduler.ts: a tile costs ${micro(costs.tile)} to take, a phase ${micro(costs.phase(1))} on one ` +
      `thread and ${micro(costs.phase(2))} on two, a job ${micro(costs.job(1))} and ${micro(costs.job(2))} (least of ${repetitions})`,
    [
      'layer',
      'Xq',
      '1 thread, measured',
      '1, model',
      '2 threads, measured',
      ...PREDICTED.slice(1).map((threads) => `${threads}, model`),
      'idle at 16, most in',
    ],
    rows,
  )
}

/** The phases that leave most thread-seconds unused, as a share of all. */
function mostIdle({ wall, idle }: Predicted, threads: number): string {
  const [most] = [...idle].sort(([, a], [, b]) => b - a)
  return most === undefined ? '' : `${most[0]} ${percent(most[1] / (threads * wall))}`
}
