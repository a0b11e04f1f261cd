/** A cluster on this machine: Redis, workers and the command, each a process of its own. */
import type { ChildProcess } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { ended, type Redis, startRedis, startWorker } from '../../test/cluster/machines.js'
import { type Command, type Outcome, run } from '../killed.js'
import type { Subject } from '../subjects.js'

export const MAIN = resolve('dist', 'src', 'cli', 'main.js')

/** Samples of calibration, fewer than for accuracy where only bytes count. */
export function argumentsOf(
  assets: string,
  { model, calibration, feeds }: Subject,
  samples: number,
): readonly string[] {
  const { scale, mean, std } = feeds
  const options = { '--scale': scale, '--mean': mean, '--std': std, '--samples': samples }
  return [
    join(assets, model),
    ...['--calib', join(assets, calibration)],
    ...Object.entries(options).flatMap(([name, value]) => (value === undefined ? [] : [name, String(value)])),
  ]
}

export interface Machines {
  readonly folder: string
  readonly redis: Redis
  /** The store: a folder, or Redis. */
  readonly store: string
  readonly workers: readonly ChildProcess[]
  /** Jobs that workers have taken so far. */
  readonly taken: number
  /** Resolves when workers have taken so many jobs. */
  jobs(count: number): Promise<void>
  /** The command with this cluster. */
  quantize(args: readonly string[], kill?: () => Promise<void>): Promise<Outcome>
}

/** @param inRedis the store is Redis, too, not a folder */
export async function withMachines<T>(
  workers: number,
  inRedis: boolean,
  act: (machines: Machines) => Promise<T>,
): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'gpfq-cluster-'))
  await mkdir(join(folder, 'redis'))
  const redis = await startRedis(join(folder, 'redis'))
  const store = inRedis ? redis.url : join(folder, 'store')
  const jobs = new EventEmitter()
  let taken = 0
  const onJob = (): void => void jobs.emit('job', ++taken)
  const machines: Machines = {
    ...{ folder, redis, store },
    workers: Array.from({ length: workers }, () => startWorker(redis.url, store, onJob)),
    get taken() {
      return taken
    },
    async jobs(count) {
      while (taken < count) await once(jobs, 'job')
    },
    quantize: (args, kill) => {
      const cluster = ['--queue', redis.url, '--store', store, '--threads', '1']
      const command: Command = { main: MAIN, args: [...args, ...cluster], output: join(folder, 'out.onnx') }
      return run(command, kill)
    },
  }
  try {
    return await act(machines)
  } finally {
    for (const worker of machines.workers) {
      worker.kill('SIGCONT')
      await ended(worker, 'SIGKILL')
    }
    await redis.stop()
    await rm(folder, { recursive: true })
  }
}

/** The same without a cluster. */
export async function alone(args: readonly string[], threads: number): Promise<Outcome> {
  const folder = await mkdtemp(join(tmpdir(), 'gpfq-alone-'))
  try {
    const output = join(folder, 'out.onnx')
    return await run({ main: MAIN, args: [...args, '--threads', String(threads)], output })
  } finally {
    await rm(folder, { recursive: true })
  }
}
