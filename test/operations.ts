/**
 * Counts what the built library executes: how often each block of its code runs, as V8's coverage counts it, and how many
 * elements the methods of arrays that are native code go through. The count is the same in every run and on every machine,
 * which times are not.
 */
import { Session } from 'node:inspector/promises'

/** Native methods whose work goes with the length of the array that they are called on. */
const NATIVE = [
  'concat',
  'copyWithin',
  'includes',
  'indexOf',
  'join',
  'lastIndexOf',
  'reverse',
  'shift',
  'slice',
  'splice',
  'toReversed',
  'toSorted',
  'sort',
  'unshift',
  'with',
] as const

// Functions get counters for their blocks when they are compiled, at their first call: so counting starts with this module.
const session = new Session()
session.connect()
await session.post('Profiler.enable')
await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true })

/** How many operations the library does in a call. */
export async function countOperations(work: () => Promise<unknown>): Promise<number> {
  await session.post('Profiler.takePreciseCoverage')
  const restore = patchArrays()
  try {
    await work()
  } finally {
    restore()
  }
  const { result } = await session.post('Profiler.takePreciseCoverage')
  const own = result.filter(({ url }) => url.includes('/dist/src/'))
  if (own.length === 0) throw new Error('no code of the library ran')
  const blocks = own.flatMap(({ functions }) => functions.flatMap(({ ranges }) => ranges))
  return blocks.reduce((sum, { count }) => sum + count, restore.count())
}

interface Restore {
  (): void
  count(): number
}

function patchArrays(): Restore {
  let elements = 0
  const prototype = Array.prototype
  const names = [...NATIVE, Symbol.iterator] as const
  const originals = names.map((name) => Object.getOwnPropertyDescriptor(prototype, name)!)
  names.forEach((name, i) => {
    const original: (...args: unknown[]) => unknown = originals[i]!.value
    Object.defineProperty(prototype, name, {
      ...originals[i]!,
      value(this: unknown[], ...args: unknown[]) {
        elements += this.length
        return Reflect.apply(original, this, args)
      },
    })
  })
  const restore = () => {
    names.forEach((name, i) => {
      Object.defineProperty(prototype, name, originals[i]!)
    })
  }
  return Object.assign(restore, { count: () => elements })
}
