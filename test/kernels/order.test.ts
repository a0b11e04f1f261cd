/** assembly/order.ts: matrices in another order of inputs, and their difference; nothing may be rounded. */
import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { permute, subtract } from '#src/wasm/familyKernels.js'
import { integers, randomFrom } from '../random.js'
import { gramIndex, gramPanels, matrixLength, panelsOf } from './layout.js'
import { Machine } from './machine.js'

let machine: Machine
beforeAll(async () => {
  machine = await Machine.create()
})

describe('order', () => {
  it('takes rows and columns of every group in its own order', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 1, max: 3 }),
        fc.nat(),
        (inputs, groups, seed) => {
          const panels = panelsOf(inputs)
          const random = randomFrom(seed)
          const matrices = Array.from({ length: groups }, (_, g) => ({
            rows: inputs,
            columns: inputs,
            values: integers(inputs * inputs, 1000, seed + g),
          }))
          const orders = matrices.map(() =>
            Array.from({ length: inputs }, (_, t) => ({ t, key: random() }))
              .sort((a, b) => a.key - b.key)
              .map(({ t }) => t),
          )
          machine.reset()
          const from = machine.floats(gramPanels(matrices, panels, false))
          const to = machine.floats(from.values.length)
          const order = orders.flatMap((own) => Array.from({ length: 8 * panels }, (_, t) => own[t] ?? t))
          machine.run(permute({ from: from.at, to: to.at, order: machine.words(order), panels, groups }), {
            seed,
          })
          for (let g = 0; g < groups; g++) {
            for (let i = 0; i < inputs; i++) {
              for (let s = 0; s < inputs; s++) {
                const actual = to.values[g * matrixLength(panels, false) + gramIndex(i, s, panels, false)]
                expect(actual).toBe(matrices[g]!.values[orders[g]![i]! * inputs + orders[g]![s]!])
              }
            }
          }
          expect(to.values.every(Number.isFinite)).toBe(true)
        },
      ),
      { seed: 41, numRuns: 20 },
    )
  })

  it('subtracts', () => {
    machine.reset()
    const a = machine.floats(integers(64 * 5, 1000, 1))
    const b = machine.floats(integers(64 * 5, 1000, 2))
    const c = machine.floats(64 * 5)
    machine.run(subtract({ a: a.at, b: b.at, c: c.at, bytes: 4 * 64 * 5 }))
    expect(c.values).toEqual(a.values.map((value, i) => value - b.values[i]!))
  })
})
