/** Seeded random choices: the same seed makes the same inputs everywhere. */
import { randomFrom } from '../random.js'

export interface Random {
  /** A whole number from 0 up to, and without, `below`. */
  below(below: number): number
  pick<T>(list: readonly T[]): T
  /** Whether a chance of `share` comes true. */
  chance(share: number): boolean
}

export function createRandom(seed: number): Random {
  const next = randomFrom(seed)
  const below = (count: number): number => Math.floor(next() * count)
  return {
    below,
    chance: (share) => next() < share,
    pick(list) {
      const value = list[below(list.length)]
      if (value === undefined) throw new Error('nothing to pick from')
      return value
    },
  }
}
