/** What takes long to get is got once. A failure is forgotten: the next call may have better luck. */
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
