/** Pauses of long work on the calling thread, so that timers and signals are handled, and an abort is seen. */
import { yieldToEventLoop } from './yieldToEventLoop.js'

/** Milliseconds between two pauses: short enough that Ctrl-C feels immediate. */
const BETWEEN = 20

/**
 * A function to call between pieces of work: it returns to the event loop if the last time is long enough ago.
 * @param signal what it throws the reason of, once it aborts
 */
export function createPauses(signal: AbortSignal | undefined): () => Promise<void> | undefined {
  let last = performance.now()
  return () => {
    signal?.throwIfAborted()
    if (performance.now() - last < BETWEEN) return undefined
    return yieldToEventLoop().then(() => {
      last = performance.now()
      signal?.throwIfAborted()
    })
  }
}
