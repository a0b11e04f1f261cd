/** assembly/order.ts: matrices in another order of inputs, transposed, and their difference; nothing may be rounded. */
import fc from 'fast-check'
import { describe, it } from 'vitest'
import { permute, subtract, transpose } from '#src/wasm/methodKernels.js'
import { expectSame } from '../arrays.js'
import { integers, randomFrom } from '../random.js'
import { gramPanels, type Matrix, panelsOf } from './layout.js'
import { Machine } from './machine.js'
import { cuts } from './paths.js'

const machine = await Machine.create()

const shape = fc.record({
  inputs: fc.integer({ min: 1, max: 40 }),
  groups: fc.integer({ min: 1, max: 3 }),
  seed: fc.nat(),
})
type Case = typeof shape extends fc.Arbitrary<infer T> ? T : never

const matricesOf = ({ inputs, groups, seed }: Case): Matrix[] =>
  Array.from({ length: groups }, (_, g) => ({
    rows: inputs,
    columns: inputs,
    values: integers(inputs * inputs, 1000, seed + g),
  }))

/** Each group's matrix in panels, with its element at `at`(group, i, s) as element (i, s); zero in the padding. */
const moved = (
  matrices: readonly Matrix[],
  at: (group: number, i: number, s: number) => readonly [number, number],
): Float32Array =>
  gramPanels(
    matrices.map(({ rows, columns, values }, g) => ({
      rows,
      columns,
      values: Float64Array.from({ length: rows * columns }, (_, place) => {
        const [i, s] = at(g, Math.floor(place / columns), place % columns)
        return values[i * columns + s]!
      }),
    })),
    panelsOf(matrices[0]!.columns),
    false,
  )

describe('permute', () => {
  it('takes rows and columns of every group in its own order, for every cut into tiles', () => {
    fc.assert(
      fc.property(shape, (c) => {
        const { inputs, groups, seed } = c
        const panels = panelsOf(inputs)
        const random = randomFrom(seed)
        const matrices = matricesOf(c)
        const orders = matrices.map(() =>
          Array.from({ length: inputs }, (_, t) => ({ t, key: random() }))
            .sort((a, b) => a.key - b.key)
            .map(({ t }) => t),
        )
        const words = orders.flatMap((own) => Array.from({ length: 8 * panels }, (_, t) => own[t] ?? t))
        const expected = moved(matrices, (g, i, s) => [orders[g]![i]!, orders[g]![s]!])
        for (const step of cuts(groups * panels)) {
          machine.reset()
          const from = machine.floats(gramPanels(matrices, panels, false)).at
          const to = machine.floats(expected.length)
          const task = permute({ from, to: to.at, order: machine.words(words), panels, groups })
          machine.run({ ...task, step }, { seed })
          expectSame(to.values, expected)
        }
      }),
      { seed: 41, numRuns: 20 },
    )
  })
})

describe('transpose', () => {
  it('transposes every group, for every cut into tiles', () => {
    fc.assert(
      fc.property(shape, (c) => {
        const { inputs, groups, seed } = c
        const panels = panelsOf(inputs)
        const matrices = matricesOf(c)
        const expected = moved(matrices, (_, i, s) => [s, i])
        for (const step of cuts(groups * panels)) {
          machine.reset()
          const from = machine.floats(gramPanels(matrices, panels, false)).at
          const to = machine.floats(expected.length)
          machine.run({ ...transpose({ from, to: to.at, panels, groups }), step }, { seed })
          expectSame(to.values, expected)
        }
      }),
      { seed: 42, numRuns: 20 },
    )
  })
})

describe('subtract', () => {
  it('subtracts one matrix from the other, for every cut into tiles', () => {
    const runs = 5
    const [x, y] = [integers(64 * runs, 1000, 1), integers(64 * runs, 1000, 2)]
    for (const step of cuts(runs)) {
      machine.reset()
      const [a, b] = [machine.floats(x).at, machine.floats(y).at]
      const c = machine.floats(64 * runs)
      machine.run({ ...subtract({ a, b, c: c.at, bytes: 256 * runs }), step }, { seed: step })
      expectSame(
        c.values,
        x.map((value, i) => value - y[i]!),
      )
    }
  })
})
