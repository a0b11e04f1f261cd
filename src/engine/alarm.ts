/** Where a worker's failure is heard: whatever waits for workers races with it, so that a dead one is an error and not a hang. */
import { GpfqError } from '../errors.js'

export interface Alarm {
  /** What comes of `work`, or the failure where that is known first. */
  race<T>(work: Promise<T>): Promise<T>
  /** Ends all races, of now and of later; the first failure counts. */
  raise(error: GpfqError): void
}

/** Unlike one promise that every race waits for, it forgets a race that is over. */
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

export const workerFailed = (cause: unknown): GpfqError =>
  new GpfqError(
    'WORKER_FAILED',
    `thread: expected one that works, got one that failed (${cause instanceof Error ? cause.message : cause}); create a new quantizer`,
    { cause },
  )
