/**
 * Waiting for others so that an abort ends the wait at once: for a promise, for the batches of an iterable. The work that is
 * waited for cannot be ended from here. It is left behind, and nobody learns of its result.
 */

/**
 * Settles as `work` does, or rejects with the signal's reason as soon as it aborts.
 * @param late gets a result that comes after that, to give it back
 */
export function untilAborted<T>(
  signal: AbortSignal | undefined,
  work: Promise<T>,
  late: (result: T) => unknown = () => {},
): Promise<T> {
  if (signal === undefined) return work
  return new Promise((resolve, reject) => {
    const abort = (): void => {
      reject(signal.reason)
      work.then(late).catch(() => {})
    }
    if (signal.aborted) return abort()
    signal.addEventListener('abort', abort)
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}

/**
 * What an iterable gives, one after another. An abort ends the wait for the next one, and the iterable is told to end, but not
 * waited for.
 */
export async function* eachUntilAborted<T>(
  signal: AbortSignal | undefined,
  items: Iterable<T> | AsyncIterable<T>,
): AsyncGenerator<T, void> {
  const iterator = Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]()
  const next = async (): Promise<IteratorResult<T>> => iterator.next()
  const end = async (): Promise<void> => void (await iterator.return?.())
  let open = false // whether the iterable would go on
  try {
    for (;;) {
      signal?.throwIfAborted()
      const step = await untilAborted(signal, next())
      if (step.done === true) return
      open = true
      yield step.value
      open = false
    }
  } finally {
    if (signal?.aborted) end().catch(() => {})
    else if (open) await end()
  }
}
