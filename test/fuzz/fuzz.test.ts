/** A short run of every fuzz target, with the same inputs each time. `npm run fuzz` goes on from there. */
import { describe, expect, it } from 'vitest'
import { type FuzzTarget, fuzz, inputOf } from './fuzz.js'
import { TARGETS } from './targets.js'

const INPUTS = 20_000

describe('damaged and malicious inputs are read or refused in words', () => {
  for (const target of TARGETS)
    it(`${target.name}: ${INPUTS} inputs`, async () => {
      const { succeeded } = await fuzz(target, { inputs: INPUTS, seed: 1, counted: 0.1 })
      // Neither all of them nor hardly any: both would test little.
      expect(succeeded).toBeGreaterThan(INPUTS / 50)
      expect(succeeded).toBeLessThan((INPUTS * 49) / 50)
    })
})

describe('the fuzzer', () => {
  const target: FuzzTarget = {
    name: 'test',
    seeds: [Uint8Array.of(1, 2, 3, 4)],
    read: async () => {},
    bound: { base: 1000, perByte: 10 },
  }

  it('makes the same input of the same seed and number', () => {
    const inputs = (seed: number) =>
      Array.from({ length: 20 }, (_, number) => inputOf(target, seed, number).bytes)
    expect(inputs(3)).toEqual(inputs(3))
    expect(inputs(3)).not.toEqual(inputs(4))
  })

  it('reports an error without fields, with what repeats it', async () => {
    const broken: FuzzTarget = {
      ...target,
      read: async (bytes) => {
        if (bytes.length > 4) throw new TypeError('x is undefined')
      },
    }
    await expect(fuzz(broken, { inputs: 100, seed: 1, counted: 0 })).rejects.toThrow(
      /test, seed 1, input \d+ \(\d+ bytes\): TypeError: x is undefined/,
    )
  })
})
