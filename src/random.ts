/**
 * Random numbers by counter: a draw is a function of the seed and of two indices, so that it does not depend on the order
 * of the work. The hash is lowbias32 (C. Wellons), in which every bit of the result depends on every bit of the input.
 * assembly/walk.ts computes the same draws.
 */

/** The draw of the indices (a, b): in [0, 1), 24 bits. */
export function drawAt(seed: number, a: number, b: number): number {
  const key = mix(seed + Math.imul(b, 0x632be59b))
  return (mix(key ^ mix(a)) >>> 8) / 2 ** 24
}

function mix(value: number): number {
  let x = value | 0
  x ^= x >>> 16
  x = Math.imul(x, 0x7feb352d)
  x ^= x >>> 15
  x = Math.imul(x, 0x846ca68b)
  return x ^ (x >>> 16)
}
