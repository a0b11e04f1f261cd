/** Faults at random moments of a run on two workers, each run to its end: the same bytes as one machine, or not. */
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { Queue } from 'bullmq'
import { Redis as Client } from 'ioredis'
import type { Outcome } from '../killed.js'
import { type Machines, withMachines } from './machines.js'

export const FAULTS = [
  'a worker is killed',
  'the coordinator is killed',
  'a worker stops for longer than the stall time',
  'Redis is restarted',
  'a blob is deleted',
  'a blob is damaged',
  'the store is full',
  'a job is delivered twice',
] as const
export type Fault = (typeof FAULTS)[number]

/** Longer than workers may be silent (test/cluster/workerProcess.ts), in ms. */
const STOPPED = 4000
/** For so long at most, in ms. */
const FULL = 20_000
/** Times that the command is given before the run counts as failed. */
const COMMANDS = 4

export interface FaultResult {
  readonly fault: Fault
  /** Whether the run was under way. */
  readonly inTime: boolean
  /** Commands until the file was there. */
  readonly commands: number
  /** What the commands said that ended with an error. */
  readonly said: readonly string[]
  readonly seconds: number
  readonly sha256: string | null
}

/** When a fault comes: after so many jobs, and so many milliseconds later. */
export interface Moment {
  readonly jobs: number
  readonly more: number
}

export function runWithFault(
  args: readonly string[],
  fault: Fault,
  { jobs, more }: Moment,
  random: () => number,
): Promise<FaultResult> {
  const inRedis = fault === 'the store is full' || fault === 'Redis is restarted'
  return withMachines(2, inRedis, async (machines) => {
    const start = performance.now()
    const said: string[] = []
    const attempt = async (kill?: () => Promise<void>): Promise<Outcome | null> =>
      machines.quantize(args, kill).catch((error: unknown) => {
        said.push(messageOf(error))
        return null
      })
    const moment = machines.jobs(jobs).then(() => delay(more))
    const first = attempt(fault === 'the coordinator is killed' ? () => moment : undefined)
    // A run that ends before has no fault.
    const inTime = await Promise.race([moment.then(() => true), first.then(() => false)])
    const repair = inTime ? await cause(fault, machines, random) : async () => {}
    // A coordinator whose workers wait for room waits with them.
    if (fault === 'the store is full') await Promise.race([first, delay(FULL)]).then(repair)
    let outcome = await first
    let commands = 1
    for (; (outcome?.sha256 ?? null) === null && commands < COMMANDS; commands++) outcome = await attempt()
    const seconds = (performance.now() - start) / 1000
    return { fault, inTime, commands, said, seconds, sha256: outcome?.sha256 ?? null }
  })
}

/** What the user reads. */
const messageOf = (error: unknown): string => {
  const text = error instanceof Error ? error.message : String(error)
  return text.slice(Math.max(0, text.indexOf('error: '))).trim()
}

/** @returns what makes room again, where that is needed */
async function cause(fault: Fault, machines: Machines, random: () => number): Promise<() => Promise<void>> {
  const { redis, store, workers } = machines
  const worker = workers[Math.floor(random() * workers.length)]!
  const done = async (): Promise<void> => {}
  switch (fault) {
    case 'a worker is killed':
      worker.kill('SIGKILL')
      return done
    case 'the coordinator is killed':
      return done
    case 'a worker stops for longer than the stall time':
      worker.kill('SIGSTOP')
      void delay(STOPPED).then(() => worker.kill('SIGCONT'))
      return done
    case 'Redis is restarted':
      await redis.restart()
      return done
    case 'a blob is deleted':
    case 'a blob is damaged': {
      const folder = join(store, 'blobs')
      const names = (await readdir(folder).catch(() => [])).filter((name) => !name.endsWith('.tmp'))
      const path = join(folder, names[Math.floor(random() * names.length)] ?? '')
      if (names.length === 0) return done
      if (fault === 'a blob is deleted') await rm(path, { force: true })
      else {
        const bytes = await readFile(path).catch(() => null)
        if (bytes === null) return done
        bytes[Math.floor(random() * bytes.length)]! ^= 1
        await writeFile(path, bytes)
      }
      return done
    }
    case 'the store is full': {
      await configure(redis.url, '1mb')
      return () => configure(redis.url, '0')
    }
    case 'a job is delivered twice': {
      const queue = new Queue('gpfq', { connection: { url: redis.url, maxRetriesPerRequest: null } })
      const jobs = await queue.getJobs(['active', 'waiting', 'completed'])
      const job = jobs[Math.floor(random() * jobs.length)]
      if (job !== undefined) await queue.add(job.name, job.data, { jobId: `again-${job.id}` })
      await queue.close()
      return done
    }
  }
}

async function configure(url: string, maxmemory: string): Promise<void> {
  const client = new Client(url)
  await client.config('SET', 'maxmemory', maxmemory)
  await client.quit()
}
