/** assembly/means.ts against plain sums: exact on integers, within its bound on real numbers, segment by segment. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { sumInputs } from '#src/wasm/kernels.js'
import { integers, reals } from '../random.js'
import { BLOCK, type Matrix, panelsOf, samplePanels } from './layout.js'
import { Machine } from './machine.js'

const machine = await Machine.create()

/** Sums by [group][8·panels] of each segment, through the kernel. */
function totals(segments: readonly (readonly Matrix[])[], panels: number, groups: number): Float64Array {
  machine.reset()
  const sum = machine.doubles(groups * panels * 8)
  const total = machine.doubles(groups * panels * 8)
  for (const { values } of [sum, total]) values.fill(0)
  for (const segment of segments) {
    const a = machine.floats(samplePanels(segment, panels)).at
    const rows = segment[0]!.rows
    machine.run(sumInputs({ a, c: sum.at, total: total.at, rows, panels: groups * panels }), { seed: rows })
    expect(sum.values.every((value) => value === 0)).toBe(true)
  }
  return total.values.slice()
}

describe('sumInputs', () => {
  it('sums each input over all segments', () => {
    const drawn = fc.record({
      rows: fc.array(fc.oneof(fc.integer({ min: 1, max: 40 }), fc.constantFrom(255, 256, 257, 700)), {
        minLength: 1,
        maxLength: 3,
      }),
      inputs: fc.integer({ min: 1, max: 30 }),
      groups: fc.integer({ min: 1, max: 3 }),
      exact: fc.boolean(),
      seed: fc.nat(),
    })
    fc.assert(
      fc.property(drawn, ({ rows, inputs, groups, exact, seed }) => {
        const panels = panelsOf(inputs)
        const segments = rows.map((count, i) =>
          Array.from({ length: groups }, (_, g): Matrix => {
            const own = seed + 10 * i + g
            const values = exact ? integers(count * inputs, 9, own) : reals(count * inputs, own)
            return { rows: count, columns: inputs, values }
          }),
        )
        const found = totals(segments, panels, groups)
        for (let g = 0; g < groups; g++) {
          for (let t = 0; t < inputs; t++) {
            let [sum, magnitude] = [0, 0]
            for (const segment of segments) {
              const { rows: count, values } = segment[g]!
              for (let r = 0; r < count; r++) {
                sum += values[r * inputs + t]!
                magnitude += Math.abs(values[r * inputs + t]!)
              }
            }
            const bound = exact ? 0 : BLOCK * 2 ** -24 * magnitude
            expect(Math.abs(found[g * panels * 8 + t]! - sum)).toBeLessThanOrEqual(bound)
          }
        }
      }),
      { seed: 17, numRuns: 60 },
    )
  })
})
