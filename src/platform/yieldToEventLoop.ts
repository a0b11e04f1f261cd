/**
 * Back to the event loop and on: lets timers, signals, messages and paints through between two pieces of long work. A
 * message is the fastest way round where there is no setImmediate; timers of a page wait 4 ms once they are nested.
 */
export function yieldToEventLoop(): Promise<void> {
  if (typeof setImmediate === 'function') return new Promise((resolve) => void setImmediate(resolve))
  if (typeof MessageChannel === 'undefined') return new Promise((resolve) => void setTimeout(resolve))
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel()
    port1.onmessage = () => {
      port1.close()
      resolve()
    }
    port2.postMessage(null)
  })
}
