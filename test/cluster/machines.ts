/** A Redis of a test's own, and workers in processes of their own. */
import { type ChildProcess, execFileSync, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { resolve } from 'node:path'
import { build } from 'esbuild'

const WORKER = resolve('dist-scripts', 'clusterWorker.mjs')

export const hasRedis = ((): boolean => {
  try {
    execFileSync('redis-server', ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
})()

export interface Redis {
  readonly url: string
  /** Ends the server and starts it again, with what it has written. */
  restart(): Promise<void>
  stop(): Promise<void>
}

/** @param folder for what it writes: every change, so that a restart loses nothing */
export async function startRedis(folder: string): Promise<Redis> {
  const port = await freePort()
  const settings = ['--bind', '127.0.0.1', '--save', '', '--dir', folder, '--appendonly', 'yes']
  const start = async (): Promise<ChildProcess> => {
    const child = spawn('redis-server', ['--port', String(port), ...settings], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    for await (const text of child.stdout!) if (String(text).includes('Ready to accept')) break
    child.stdout?.resume()
    return child
  }
  let child = await start()
  return {
    url: `redis://127.0.0.1:${port}`,
    async restart() {
      await ended(child, 'SIGTERM')
      child = await start()
    },
    stop: () => ended(child, 'SIGTERM'),
  }
}

/** Bundles the program of workers. */
export async function buildWorker(): Promise<void> {
  await build({
    entryPoints: [resolve('test', 'cluster', 'workerProcess.ts')],
    ...{ outfile: WORKER, bundle: true, platform: 'node', format: 'esm' },
    ...{ packages: 'external', external: ['#*'], logLevel: 'warning' },
  })
}

/** What a worker says when it takes a job. */
export interface TakenJob {
  readonly count: number
  readonly kind: 'stage' | 'solve'
}

/** @param killedIn the job in the middle of which it kills itself */
export function startWorker(
  queue: string,
  store: string,
  onJob: (job: TakenJob) => void = () => {},
  killedIn?: number,
): ChildProcess {
  const child = fork(WORKER, [queue, store, String(killedIn ?? '')], { execArgv: [] })
  child.on('message', (message) => {
    if (isTaken(message)) onJob(message)
  })
  return child
}

const isTaken = (message: unknown): message is TakenJob =>
  typeof message === 'object' && message !== null && 'count' in message && 'kind' in message

export async function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill(signal)
  await once(child, 'exit')
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}
