/**
 * Fair timing. The cases of one question run interleaved (A B A B …) after a warm-up, so that a noisy machine disturbs
 * all of them alike, and every number comes with its spread.
 */
import type { Cell } from './table.js'

export interface Case<T = unknown> {
  readonly name: string
  /** Does the work once. Its result may contain the seconds; otherwise the wall clock counts. */
  run(): Promise<T> | T
  /** Seconds of one run, from its result. */
  seconds?(result: T): number
}

export interface Timing {
  readonly name: string
  readonly min: number // seconds
  readonly median: number
  /** (third − first quartile) / median */
  readonly spread: number
  /** Every repetition, in the order they ran. */
  readonly seconds: readonly number[]
}

export async function interleave<T>(
  cases: readonly Case<T>[],
  repetitions: number,
): Promise<Map<string, Timing>> {
  const seconds = new Map(cases.map(({ name }) => [name, [] as number[]]))
  for (const { run } of cases) await run()
  for (let repetition = 0; repetition < repetitions; repetition++) {
    for (const { name, run, seconds: own } of cases) {
      const start = performance.now()
      const result = await run()
      const wall = (performance.now() - start) / 1000
      seconds.get(name)!.push(own === undefined ? wall : own(result))
    }
  }
  return new Map([...seconds].map(([name, times]) => [name, timing(name, times)]))
}

export function timing(name: string, times: readonly number[]): Timing {
  const sorted = [...times].sort((a, b) => a - b)
  const at = (q: number): number => sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))]!
  const median = at(0.5)
  return { name, min: sorted[0]!, median, spread: (at(0.75) - at(0.25)) / median, seconds: times }
}

/** `min / median ± spread`, in seconds or milliseconds, with a remark. */
export function cell(measured: Timing, unit: 's' | 'ms' = 's', more = ''): Cell {
  const { min, median, spread } = measured
  const number = (seconds: number): string =>
    unit === 's' ? seconds.toFixed(4) : (1e3 * seconds).toFixed(seconds < 0.1 ? 3 : 1)
  return { text: `${number(min)} / ${number(median)} ± ${percent(spread)}${more}`, measured }
}

export const percent = (share: number): string => `${(100 * share).toFixed(0)} %`

/** Exponent p of y ~ xᵖ by least squares on logarithms. */
export function exponent(xs: readonly number[], ys: readonly number[]): number {
  const lx = xs.map(Math.log)
  const ly = ys.map(Math.log)
  const mean = (v: readonly number[]): number => v.reduce((a, b) => a + b, 0) / v.length
  const mx = mean(lx)
  const my = mean(ly)
  const covariance = lx.reduce((sum, x, i) => sum + (x - mx) * (ly[i]! - my), 0)
  return covariance / lx.reduce((sum, x) => sum + (x - mx) ** 2, 0)
}

/** Seeded uniform numbers in [0, 1): the same data in every run (Numerical Recipes' 32-bit generator). */
export function uniform(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
}
