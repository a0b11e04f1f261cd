/**
 * The memory that a model takes: it is loaded and run once in a process of its own, and what counts is by how much the
 * resident memory of that process grows. In one process two models cannot be told apart, because the memory of the wasm
 * build never shrinks. The number is rough: some megabytes of it are code that the engine compiles meanwhile, and what
 * loading needs for a moment is in it where the runtime keeps it.
 */
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Feeds } from '../tensor/tensor.js'
import type { RunnerChoice } from './runner.js'

const PROCESS = fileURLToPath(new URL('./memoryProcess.js', import.meta.url))

/** What the process needs; it reads the model itself. */
export interface MemoryTask extends RunnerChoice {
  readonly path: string
  readonly feeds: Feeds
}

/** What the process answers. */
export interface MemoryAnswer {
  /** Bytes by which its resident memory has grown. */
  readonly growth: number
}

/**
 * Bytes by which the resident memory of a process grows when it loads a model and runs it once. Null where processes cannot
 * be started, or the model does not run in one.
 * @throws the signal's reason if it aborts
 */
export async function measureMemory(task: MemoryTask, signal: AbortSignal): Promise<number | null> {
  signal.throwIfAborted()
  const growth = await new Promise<number | null>((resolve) => {
    const child = fork(PROCESS, [], {
      execArgv: ['--expose-gc'],
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
      signal,
    })
    child.on('message', (answer: MemoryAnswer) => resolve(answer.growth))
    child.on('error', () => resolve(null))
    child.on('exit', () => resolve(null))
    child.send(task, () => {}) // if it fails, the process has ended
  })
  signal.throwIfAborted()
  return growth
}
