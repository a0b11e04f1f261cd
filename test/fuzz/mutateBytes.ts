/** Changes bytes as damage and malice would, whatever the format: flips, cuts, repetitions, and numbers at their limits. */
import type { Random } from './random.js'

/** Bytes that matter in many formats: ends of ranges, long varints, signs. */
const NUMBERS: readonly (readonly number[])[] = [
  [0],
  [0xff],
  [0x7f],
  [0x80],
  [0xff, 0xff, 0xff, 0xff],
  [0, 0, 0, 0x80],
  [0xff, 0xff, 0xff, 0x7f],
  [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
  [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
  [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10],
]

/** A changed copy. @param seeds other inputs of the format, to take parts from */
export function mutateBytes(bytes: Uint8Array, seeds: readonly Uint8Array[], random: Random): Uint8Array {
  let changed = bytes
  const changes = random.chance(0.5) ? 1 : 1 + random.below(4)
  for (let i = 0; i < changes; i++) changed = mutateOnce(changed, seeds, random)
  return changed
}

function mutateOnce(bytes: Uint8Array, seeds: readonly Uint8Array[], random: Random): Uint8Array {
  const at = random.below(bytes.length + 1)
  const length = Math.min(bytes.length - at, 1 + random.below(random.chance(0.2) ? 200 : 8))
  const [head, part, tail] = [
    bytes.subarray(0, at),
    bytes.subarray(at, at + length),
    bytes.subarray(at + length),
  ]
  switch (random.below(8)) {
    case 0: {
      const copy = Uint8Array.from(bytes)
      if (copy.length > 0) copy[at % copy.length]! ^= 1 << random.below(8)
      return copy
    }
    case 1: {
      const copy = Uint8Array.from(bytes)
      if (copy.length > 0) copy[at % copy.length] = random.below(256)
      return copy
    }
    case 2:
      return join(head, Uint8Array.from(random.pick(NUMBERS)), tail)
    case 3:
      return join(head, Uint8Array.from(random.pick(NUMBERS)), part, tail)
    case 4:
      return join(head, tail)
    case 5:
      return join(head, part, part, tail)
    case 6:
      return Uint8Array.from(head)
    default: {
      const other = random.pick(seeds)
      const from = random.below(other.length + 1)
      return join(head, other.subarray(from, from + 1 + random.below(60)), tail)
    }
  }
}

function join(...parts: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    joined.set(part, at)
    at += part.length
  }
  return joined
}
