/** Caches the result of an asynchronous function. A failure is not cached: the next call tries again. */
export function memoizeAsync<T>(get: () => Promise<T>): () => Promise<T> {
  let found: Promise<T> | undefined
  return () => {
    if (found === undefined) {
      const attempt = get()
      found = attempt
      attempt.catch(() => {
        found = undefined
      })
    }
    return found
  }
}
