/** Counts the bytes of typed arrays that a call allocates: the largest of them, and all. */
export interface Allocation<T> {
  readonly value?: T
  readonly error?: unknown
  /** The largest single buffer. */
  readonly most: number
  /** All buffers. */
  readonly total: number
}

const ARRAYS = ['ArrayBuffer', 'Uint8Array', 'Float32Array', 'Float64Array'] as const

/** Runs a call while constructors of buffers are watched. */
export async function allocated<T>(act: () => Promise<T>): Promise<Allocation<T>> {
  let most = 0
  let total = 0
  const count = (bytes: number): void => {
    most = Math.max(most, bytes)
    total += bytes
  }
  const before = ARRAYS.map((name) => [name, globalThis[name]] as const)
  for (const [name, original] of before) {
    const watched: object = new Proxy(original, {
      construct(target, args: unknown[], newTarget): object {
        const [length] = args
        if (typeof length === 'number')
          count(length * ('BYTES_PER_ELEMENT' in target ? target.BYTES_PER_ELEMENT : 1))
        return Reflect.construct(target, args, newTarget === watched ? target : newTarget)
      },
    })
    Reflect.set(globalThis, name, watched)
  }
  try {
    return { value: await act(), most, total }
  } catch (error) {
    return { error, most, total }
  } finally {
    for (const [name, original] of before) Reflect.set(globalThis, name, original)
  }
}
