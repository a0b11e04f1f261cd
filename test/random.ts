/** Seeded numbers for tests: the same in every run, so that a failure can be repeated. */

/** Uniform in [0, 1): mulberry32. */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Integers in [−most, most]. Their products and short sums are exact in float32. */
export function integers(length: number, most: number, seed: number): Float32Array {
  const random = randomFrom(seed)
  return Float32Array.from({ length }, () => Math.floor(random() * (2 * most + 1)) - most)
}

/** Bell-shaped values, standard deviation about 1. */
export function reals(length: number, seed: number): Float32Array {
  const random = randomFrom(seed)
  return Float32Array.from({ length }, () => (random() + random() + random() + random() - 2) * Math.sqrt(3))
}

/** The same values, but a share of them exactly zero, of either sign. */
export function pruned(values: Float32Array, share: number, seed: number): Float32Array {
  const random = randomFrom(seed)
  return values.map((value) => (random() < share ? 0 * value : value))
}

/** What a ReLU leaves: nonnegative, about half of it zero. */
export const activations = (length: number, seed: number): Float32Array =>
  reals(length, seed).map((value) => Math.max(0, value))

/** The same numbers with a little noise: the inputs of a layer in a network quantized so far. */
export function disturbed(values: Float32Array, amount: number, seed: number): Float32Array {
  const noise = reals(values.length, seed)
  return values.map((value, i) => (value === 0 ? 0 : value + amount * noise[i]!))
}
