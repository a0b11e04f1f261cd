/**
 * Reports the failure of a worker to everything that waits for workers. Each wait races with the alarm, so that a dead
 * worker is an error and not a promise that never settles.
 */
import { GpfqError, reasonOf } from '../errors.js'

export interface Alarm {
  /** Settles as `work` does, or rejects with the failure if that is known first. */
  race<T>(work: Promise<T>): Promise<T>
  /** Rejects all races, those under way and those to come. Only the first failure counts. */
  raise(error: GpfqError): void
}

/**
 * A set of rejections instead of one promise that every race waits for: such a promise would keep the results of all
 * races in memory as long as the alarm lives.
 */
export function createAlarm(): Alarm {
  const racing = new Set<(error: GpfqError) => void>()
  let failure: GpfqError | undefined
  return {
    race: (work) =>
      new Promise((resolve, reject) => {
        work.then(resolve, reject).finally(() => racing.delete(reject))
        racing.add(reject)
        if (failure !== undefined) reject(failure)
      }),
    raise(error) {
      failure ??= error
      for (const reject of racing) reject(failure)
    },
  }
}

/** Seconds that workers have to start: a script can come over a slow line, and a machine can be busy. */
const START_SECONDS = 60

/** Settles as the start of workers does; raises the alarm if that takes too long. */
export async function awaitStart<T>(start: Promise<T>, fail: (reason: string) => unknown): Promise<T> {
  const timer = setTimeout(() => fail(`no answer within ${START_SECONDS} seconds`), 1000 * START_SECONDS)
  try {
    return await start
  } finally {
    clearTimeout(timer)
  }
}

/** The error of a worker that died, did not start or ran a kernel that trapped. @param cause an error or its text */
export function workerFailed(cause: unknown): GpfqError {
  const facts = { place: 'worker', problem: `failed: ${reasonOf(cause)}`, hint: 'create a new quantizer' }
  return new GpfqError('WORKER_FAILED', facts, { cause })
}
