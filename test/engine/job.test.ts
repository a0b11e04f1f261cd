/** Jobs as plain data: how a task is cut into tiles, and where the counters lie in the control blocks. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  CONTROL_BYTES,
  controlBlocks,
  doneAt,
  MAX_PHASES,
  nextAt,
  SHARES,
  STOP,
  type Task,
  tilesOfPhase,
  tilesOfTask,
} from '#src/engine/job.js'

const task = (items: number, step: number): Task => ({
  kernel: 'pack',
  args: [],
  items,
  step,
})

describe('tiles', () => {
  it('are as many as it takes to cover all items', () => {
    expect([0, 1, 4, 5, 8].map((items) => tilesOfTask(task(items, 4)))).toEqual([0, 1, 1, 2, 2])
    fc.assert(
      fc.property(fc.nat(1000), fc.integer({ min: 1, max: 50 }), (items, step) => {
        const tiles = tilesOfTask(task(items, step))
        expect(tiles * step).toBeGreaterThanOrEqual(items)
        expect((tiles - 1) * step).toBeLessThan(items || 1)
      }),
      { seed: 16 },
    )
  })

  it('of a phase are those of its tasks together', () => {
    expect(tilesOfPhase([])).toBe(0)
    expect(tilesOfPhase([task(5, 4), task(0, 1), task(3, 1)])).toBe(5)
  })
})

describe('the control blocks', () => {
  it('have a word of their own for every counter, and do not overlap', () => {
    const memory = new WebAssembly.Memory({ initial: CONTROL_BYTES / 65536, maximum: 1, shared: true })
    const [one, two] = controlBlocks(memory)
    const words = [STOP]
    for (let phase = 0; phase < MAX_PHASES; phase++) {
      words.push(doneAt(phase))
      for (let share = 0; share < SHARES; share++) words.push(nextAt(phase, share))
    }
    expect(new Set(words).size).toBe((SHARES + 1) * MAX_PHASES + 1)
    expect(words.every((word) => word >= 0 && word < one!.length)).toBe(true)
    expect(one!.byteOffset + one!.byteLength).toBeLessThanOrEqual(two!.byteOffset)
    expect(two!.byteOffset + two!.byteLength).toBeLessThanOrEqual(CONTROL_BYTES)
  })
})
