/** BullMQ and ioredis, which are loaded where a cluster is wanted. All of a queue's work is theirs: waiting, locks, retries, stalls. */
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
    const text = `queue: ${reasonOf(error) || 'no connection'}; trying again`
    if (text !== last) say(text)
    last = text
  }
}
