/**
 * Seeded randomness and the one transcendental function that training needs, both made of exact IEEE operations only:
 * Math.random, Math.exp and Math.pow may differ between engines, and the trained file must not.
 */

/** Uniform numbers in [0, 1) with 32 bits. */
export type Random = () => number

/** Mulberry32 (Tommy Ettinger, public domain): 32 bits of state, enough for shuffles and initial weights. */
export function seeded(seed: number): Random {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let z = state
    z = Math.imul(z ^ (z >>> 15), z | 1)
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61)
    return ((z ^ (z >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Fisher–Yates, in place. */
export function shuffle(items: Uint32Array, random: Random): void {
  for (let i = items.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1))
    const kept = items[i]!
    items[i] = items[j]!
    items[j] = kept
  }
}

/** eˣ for x ≤ 0: e^(x / 2¹⁰) by Taylor's series, squared ten times. Relative error under 1e-12 for x ≥ −700, below that 0. */
export function expNegative(x: number): number {
  if (x < -700) return 0
  const r = x / 1024
  let term = 1
  let sum = 1
  for (let i = 1; i <= 14; i++) {
    term *= r / i
    sum += term
  }
  for (let i = 0; i < 10; i++) sum *= sum
  return sum
}
