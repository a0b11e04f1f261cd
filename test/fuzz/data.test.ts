/** Hostile files of data (data.ts). FUZZ_SEED and FUZZ_COUNT choose other ones. */
import { expect, test } from 'vitest'
import { fuzzData } from './data.js'

const SEED = Number(process.env.FUZZ_SEED ?? 1)
const COUNT = Number(process.env.FUZZ_COUNT ?? 30000)

test(`${COUNT} hostile files of data are read or refused, within bounds`, async () => {
  const { faults, read, refused } = await fuzzData(SEED, COUNT)
  expect(faults.slice(0, 5)).toEqual([])
  expect(Math.min(read, refused)).toBeGreaterThan(COUNT / 20)
})
