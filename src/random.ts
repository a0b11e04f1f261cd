/**
 * Random numbers by counter: a draw is a function of the seed and where it is used, so that no order of work changes it.
 * lowbias32 (C. Wellons) mixes every bit of its input into every bit of its result; assembly/walk.ts has the same.
 */

/** In [0, 1), 24 bits, for use number (a, b). */
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
