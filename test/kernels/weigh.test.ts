/** assembly/weigh.ts against its twin: within the roundings of the factor and of the product, the same in every tiling. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { weighed } from '#src/reference/sampleWeights.js'
import { weighRows } from '#src/wasm/kernels.js'
import { expectSame } from '../arrays.js'
import { randomFrom, reals } from '../random.js'
import { BLOCK, type Matrix, panelsOf, samplePanels } from './layout.js'
import { Machine } from './machine.js'
import { cuts } from './paths.js'

const machine = await Machine.create()

interface Case {
  readonly rows: number
  readonly inputs: number
  readonly groups: number
  readonly same: boolean
  readonly seed: number
}

const cases: fc.Arbitrary<Case> = fc.record({
  rows: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.constantFrom(255, 256, 257, 600)),
  inputs: fc.integer({ min: 1, max: 30 }),
  groups: fc.integer({ min: 1, max: 3 }),
  same: fc.boolean(),
  seed: fc.integer({ min: 0, max: 2 ** 30 }),
})

/** Rows of sizes from 10⁻²⁵ to 10²⁵, whose squares float32 does not hold, and some of zeros. */
function samplesOf({ rows, inputs, groups, seed }: Case, more: number): Matrix[] {
  return Array.from({ length: groups }, (_, g) => {
    const random = randomFrom(seed + g)
    const sizes = Array.from({ length: rows }, () => (random() < 0.2 ? 0 : 10 ** (50 * random() - 25)))
    const values = reals(rows * inputs, seed + 10 * g + more)
    return { rows, columns: inputs, values: values.map((v, i) => v * sizes[Math.floor(i / inputs)]!) }
  })
}

interface Outcome {
  readonly x: Float32Array
  readonly xq: Float32Array
}

function run(c: Case, step?: number, workers = 1): Outcome {
  const panels = panelsOf(c.inputs)
  machine.reset()
  const x = machine.floats(samplePanels(samplesOf(c, 0), panels))
  const xq = c.same ? x : machine.floats(samplePanels(samplesOf(c, 1), panels))
  const task = weighRows({ x: x.at, xq: xq.at, rows: c.rows, panels, groups: c.groups })
  machine.run({ ...task, step: step ?? task.step }, { seed: c.seed, workers })
  return { x: x.values.slice(), xq: xq.values.slice() }
}

describe('weighRows', () => {
  it('divides every row of both streams by the norm of that of X', () => {
    fc.assert(
      fc.property(cases, (c) => {
        const panels = panelsOf(c.inputs)
        const found = run(c, undefined, 2)
        const [x, xq] = [samplesOf(c, 0), samplesOf(c, c.same ? 0 : 1)]
        const expected = (of: readonly Matrix[]): Float32Array =>
          samplePanels(
            of.map((own, g) => ({ ...own, values: weighed(x[g]!.values, own.values, c.inputs) })),
            panels,
          )
        for (const [actual, twin] of [
          [found.x, expected(x)],
          [found.xq, expected(xq)],
        ] as const) {
          // NaN beyond the samples stays.
          const near = (v: number, i: number): boolean =>
            Object.is(v, twin[i]) || Math.abs(v - twin[i]!) <= 4 * 2 ** -24 * Math.abs(twin[i]!)
          const at = actual.findIndex((v, i) => !near(v, i))
          expect(at < 0 ? [] : [at, actual[at], twin[at]]).toEqual([])
        }
      }),
      { seed: 281, numRuns: 60 },
    )
  })

  it('gives the same bytes for every cut into tiles and every number of workers', () => {
    fc.assert(
      fc.property(cases, (c) => {
        const alone = run(c)
        for (const step of cuts(Math.ceil(c.rows / BLOCK) * c.groups * 8)) {
          const other = run(c, step, 3)
          expectSame(other.x, alone.x)
          expectSame(other.xq, alone.xq)
        }
      }),
      { seed: 282, numRuns: 10 },
    )
  })
})
