/**
 * Calls between two threads, over comlink: each end offers functions, and calls those of the other end by their names.
 * Arguments and results are cloned as messages are; their buffers can be handed over instead (`transfer`). comlink keeps no
 * class of an error and none of its fields, so what a function throws travels as data (failure.ts). A call is posted at
 * once, and calls arrive in the order of their posts.
 */
import { type Endpoint, expose, transfer as handOver, releaseProxy, wrap } from 'comlink'
import type { Port } from '../platform/worker.js'
import { describeFailure, isFailure, rebuildFailure } from './failure.js'

/** Calls a function of the other end. */
export type Remote<Theirs> = <Name extends keyof Theirs & string>(
  name: Name,
  ...args: ArgumentsOf<Theirs[Name]>
) => Promise<ResultOf<Theirs[Name]>>

type ArgumentsOf<F> = F extends (...args: infer Arguments) => unknown ? Arguments : never
type ResultOf<F> = F extends (...args: never[]) => infer Result ? Awaited<Result> : never

/** The other end. */
export type Connection<Theirs> = Remote<Theirs> & {
  /** Ends the connection: else all that it refers to stays in memory until two collections of garbage later. */
  release(): void
}

/** Functions by their names, as messages have them. */
type Named = Record<string, (...args: unknown[]) => Promise<never>>

/** Marks an argument or a result: its buffers are handed over with it, not copied. Shared ones stay. */
export const transfer = <T extends object>(value: T, buffers: readonly (ArrayBufferLike | undefined)[]): T =>
  handOver(value, [...new Set(buffers.filter((buffer) => buffer instanceof ArrayBuffer))])

/**
 * Connects this end.
 * @param offer the functions that the other end may call; they may call those of the other end
 */
export function connect<Theirs>(
  { post, listen }: Port,
  offer?: (remote: Remote<Theirs>) => object,
): Connection<Theirs> {
  const endpoint: Endpoint = {
    postMessage: (message, buffers = []) =>
      post(
        message,
        buffers.filter((buffer) => buffer instanceof ArrayBuffer),
      ),
    addEventListener: (_, receive) =>
      // Tools of pages post messages of their own to workers.
      listen((data) => {
        const event = new MessageEvent('message', { data: data ?? {} })
        if (typeof receive === 'function') receive(event)
      }),
    removeEventListener() {},
  }
  const theirs = wrap<Named>(endpoint)
  const call: Remote<Theirs> = async (name, ...args) => {
    try {
      return await theirs[name]!(...args)
    } catch (error) {
      throw isFailure(error) ? rebuildFailure(error) : error
    }
  }
  if (offer !== undefined) expose(answering(offer(call)), endpoint)
  return Object.assign(call, { release: () => theirs[releaseProxy]() })
}

/** The functions, with what they throw as data. */
const answering = (own: object): object =>
  Object.fromEntries(
    Object.entries(own).map(([name, act]) => [
      name,
      async (...args: unknown[]): Promise<unknown> => {
        try {
          return await act(...args)
        } catch (error) {
          throw describeFailure(error)
        }
      },
    ]),
  )
