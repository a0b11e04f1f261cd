/** BullMQ and ioredis, which are loaded where a cluster is wanted. All of a queue's work is theirs: waiting, locks, retries, stalls. */
import { setTimeout as delay } from 'node:timers/promises'
import type { ConnectionOptions } from 'bullmq'
import { typeError } from '../checks.js'
import { GpfqError, reasonOf } from '../errors.js'

/** The name of the queue in Redis. */
export const QUEUE = 'gpfq'

/** @throws GpfqError RUNTIME_MISSING where BullMQ is not installed */
export async function loadBullmq(): Promise<typeof import('bullmq')> {
  try {
    await import('ioredis')
    return await import('bullmq')
  } catch (cause) {
    const problem = 'the packages bullmq and ioredis are needed and cannot be loaded'
    const hint = 'npm install bullmq ioredis'
    throw new GpfqError('RUNTIME_MISSING', { place: 'queue', problem, hint }, { cause })
  }
}

/** A connection to the Redis of a URL. @throws TypeError for another URL */
export function connectionTo(url: string): ConnectionOptions {
  if (!URL.canParse(url) || !/^rediss?:$/.test(new URL(url).protocol))
    throw typeError({
      place: 'queue',
      expected: 'redis://HOST:PORT or rediss://HOST:PORT',
      got: 'another text',
    })
  return { url, maxRetriesPerRequest: null }
}

/** Says what is wrong with a connection, once for the same reason. BullMQ connects again by itself. */
export function saying(say: (text: string) => void = () => {}): (error: Error) => void {
  let last = ''
  return (error) => {
    const text = `queue: ${/\bOOM\b/.test(error.message) ? 'Redis is full' : reasonOf(error) || 'no connection'}; trying again`
    if (text !== last) say(text)
    last = text
  }
}

/** What makes a run go on that Redis ended. */
const GO_ON = 'the same command again goes on where this one ended'

/**
 * An error of ioredis in our own words.
 * @param lost why the last connection was lost
 */
export function redisError(place: string, cause: unknown, lost = 'no connection'): GpfqError {
  const reason = reasonOf(cause)
  const [problem, hint] = /\bOOM\b/.test(reason)
    ? ['Redis is full', `make room; ${GO_ON}`]
    : cause instanceof Error && cause.name === 'MaxRetriesPerRequestError'
      ? [`Redis does not answer (${lost})`, `start it; ${GO_ON}`]
      : [reason, GO_ON]
  return new GpfqError('FILE_ACCESS', { place, problem, hint }, { cause })
}

/** Milliseconds that the end of connections is waited for. */
const FAREWELL = 2000

/** Ends connections. Where Redis does not answer, BullMQ would wait until it does: such a connection is left behind. */
export async function closeAll(open: readonly { close(): Promise<void> }[]): Promise<void> {
  const closed = Promise.allSettled(open.map((one) => one.close()))
  await Promise.race([closed, delay(FAREWELL, undefined, { ref: false })])
}
