/** The thresholds of sparse GPFQ (2201.11113) in float64, applied before rounding. Twin of assembly/walk.ts. */

/** sign v · max(|v| − λ, 0) */
export const softThreshold = (v: number, lambda: number): number =>
  Math.sign(v) * Math.max(Math.abs(v) - lambda, 0)

/** v, or 0 where |v| ≤ λ */
export const hardThreshold = (v: number, lambda: number): number => (Math.abs(v) > lambda ? v : 0)
