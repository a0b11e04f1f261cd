/**
 * What is to be done to a layer, as plain data: the method and everything that changes its codes, with defaults filled
 * in and combinations checked. One recipe serves a whole run; scales and levels are a layer's own (solution.ts).
 */
import type { Method, MethodOptions } from '../options.js'

export interface Recipe {
  readonly method: Method
  /** Passes of coordinate descent on the codes. */
  readonly passes: number
  /** λ of gptq and qronos in units of the mean of diag H; null for others. */
  readonly damping: number | null
  /** Inputs in descending order of H_tt instead of their own. */
  readonly actOrder: boolean
}

/** Plain greedy path following. */
export const GPFQ: Recipe = { method: 'gpfq', passes: 0, damping: null, actOrder: false }

/** Methods that go through the inputs one after another, so that their order matters. */
const SEQUENTIAL: readonly Method[] = ['gpfq', 'gptq', 'qronos']

/**
 * Damping of 1 %: what OPTQ's authors use, and what lets Qronos work on sums in float32. The 1e-6·σ₁ of Qronos' paper
 * needs sums in float64 and is less accurate all the same (docs/METHODS.md).
 */
const DAMPING = 0.01

/** @throws RangeError for values, TypeError for combinations that cannot be. */
export function resolveRecipe(options: MethodOptions): Recipe {
  const method = options.method ?? 'gpfq'
  const { passes = 0, damping, actOrder } = options
  checkWhole('passes', passes, 0, 1000)
  const inverting = method === 'gptq' || method === 'qronos'
  if (damping !== undefined) {
    if (!inverting) {
      throw new TypeError(
        `damping: expected a method that inverts H (gptq, qronos), got ${method}; leave it out`,
      )
    }
    if (!(damping >= 0 && Number.isFinite(damping))) {
      throw new RangeError(`damping: expected a finite number of at least 0, got ${damping}`)
    }
  }
  if (actOrder === true && !SEQUENTIAL.includes(method)) {
    throw new TypeError(
      `actOrder: expected a method that takes inputs in order (${SEQUENTIAL.join(', ')}), got ${method}; leave it out`,
    )
  }
  return {
    method,
    passes,
    damping: inverting ? (damping ?? DAMPING) : null,
    actOrder: actOrder ?? inverting,
  }
}

export function checkWhole(place: string, value: number, least: number, most: number): void {
  if (!Number.isInteger(value) || value < least || value > most) {
    throw new RangeError(`${place}: expected an integer from ${least} to ${most}, got ${value}`)
  }
}

/** Whether the direct recursion can do it: the plain path and nothing after it. */
export const isPlain = ({ method, passes, actOrder }: Recipe): boolean =>
  method === 'gpfq' && passes === 0 && !actOrder

/** Whether calibration samples are needed when scales come from the weights alone. */
export const needsSamples = ({ method, passes }: Recipe): boolean => method !== 'msq' || passes > 0
