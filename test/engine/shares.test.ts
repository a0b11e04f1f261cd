/** Shares of a phase (src/engine/job.ts, tiles.ts): together they are the whole phase, each item once. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { SHARES, type Task } from '#src/engine/job.js'
import { runTile } from '#src/engine/tiles.js'

const task = fc.record({
  items: fc.integer({ min: 0, max: 200 }),
  step: fc.integer({ min: 1, max: 9 }),
})

/** The items of a share of a phase, as "task:item", in the order in which they run. */
function itemsOf(phase: readonly Task[], share = 0, shares = 1): string[] {
  const items: string[] = []
  const record = (id: number, begin: number, end: number): void => {
    for (let item = begin; item < end; item++) items.push(`${id}:${item}`)
  }
  let tile = 0
  while (runTile({ record }, phase, tile, 0, share, shares)) tile++
  return items
}

describe('the shares of a phase', () => {
  it('contain every item of every task once', () => {
    fc.assert(
      fc.property(fc.array(task, { maxLength: 5 }), (tasks) => {
        const phase = tasks.map((t, id) => ({ ...t, kernel: 'record', args: [id] }))
        const all = Array.from({ length: SHARES }, (_, share) => itemsOf(phase, share, SHARES)).flat()
        expect(all.length).toBe(tasks.reduce((sum, { items }) => sum + items, 0))
        expect(all.toSorted()).toEqual(itemsOf(phase).toSorted())
        expect(new Set(all).size).toBe(all.length)
      }),
      { seed: 17 },
    )
  })

  it('contain the same groups in every task, however many items a group has there', () => {
    const groups = 4 * SHARES
    const phase = [1, 2, 7].map((perGroup) => ({
      ...{ kernel: 'record', args: [perGroup], items: perGroup * groups, step: 1 },
    }))
    for (let share = 0; share < SHARES; share++) {
      const touched = phase.map((_, at) => [
        ...new Set(
          itemsOf([phase[at]!], share, SHARES).map((item) =>
            Math.floor(Number(item.split(':')[1]) / phase[at]!.args[0]!),
          ),
        ),
      ])
      expect(touched[1]).toEqual(touched[0])
      expect(touched[2]).toEqual(touched[0])
      expect(touched[0]!.length).toBe(groups / SHARES)
    }
  })
})
