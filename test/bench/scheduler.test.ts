/** The model of the scheduler keeps what is known of list scheduling (Graham 1966), and of a run on one thread. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Costs, listSchedule, predict } from '../../bench/scheduler.js'
import type { TimedJob } from '../../bench/tilePool.js'

const seconds = fc.double({ min: 1e-6, max: 1, noNaN: true })
const tiles = fc.array(seconds, { minLength: 1, maxLength: 60 })
const total = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0)
const FREE: Costs = { tile: 0, phase: () => 0, job: () => 0 }

const jobs = fc.array(
  fc.record({
    before: seconds,
    phases: fc.array(
      tiles.map((times) => [{ kernel: 'project', tiles: times }]),
      { minLength: 1, maxLength: 4 },
    ),
  }),
  { minLength: 1, maxLength: 4 },
)
const work = ({ phases }: TimedJob): number => total(phases.flat().flatMap((task) => task.tiles))

describe('listSchedule', () => {
  it('takes no less than the longest tile or a fair share, and no more than both together', () => {
    fc.assert(
      fc.property(tiles, fc.integer({ min: 1, max: 64 }), (times, threads) => {
        const end = listSchedule(times, new Array<number>(threads).fill(0), 0)
        const share = total(times) / threads
        const longest = Math.max(...times)
        expect(end).toBeGreaterThanOrEqual(Math.max(share, longest) * (1 - 1e-12))
        expect(end).toBeLessThanOrEqual((share + longest) * (1 + 1e-12))
      }),
      { seed: 51 },
    )
  })

  it('begins no tile before its thread is there', () => {
    expect(listSchedule([1, 1], [0, 10], 0)).toBe(2)
    expect(listSchedule([5, 5, 5], [0, 7], 0)).toBe(12)
    expect(listSchedule([1, 1, 1, 1], [0, 0], 0.5)).toBe(3)
  })
})

describe('predict', () => {
  it('adds everything up on one thread, and leaves the caller’s own work to the caller on many', () => {
    fc.assert(
      fc.property(jobs, seconds, (timed, after) => {
        const run = { jobs: timed, after }
        const own = total(timed.map(({ before }) => before)) + after
        expect(predict(run, FREE, 1).wall).toBeCloseTo(own + total(timed.map(work)), 9)
        const many = predict(run, FREE, 1e3).wall
        const longest = timed.flatMap(({ phases }) =>
          phases.map((phase) => Math.max(...phase.flatMap((task) => task.tiles))),
        )
        expect(many).toBeCloseTo(own + total(longest), 9)
      }),
      { seed: 52, numRuns: 50 },
    )
  })

  it('lets the caller copy the next samples meanwhile, one batch ahead', () => {
    const pack = (before: number, tile: number): TimedJob => ({
      before,
      phases: [[{ kernel: 'pack', tiles: [tile] }]],
    })
    const jobsOf = [pack(1, 3), pack(1, 3), pack(1, 3)]
    expect(predict({ jobs: jobsOf, after: 0 }, FREE, 1).wall).toBe(10)
  })
})
