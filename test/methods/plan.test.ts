/** Plans: a cost model of shapes alone, memory that is counted before it is used, tiles enough for many threads. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Phase, tilesOfPhase } from '#src/engine/job.js'
import { GpfqError } from '#src/errors.js'
import { directWork, gramWork, type LayerPlan, type LayerShape, planLayer } from '#src/methods/plan.js'
import { denseShape, record } from './recording.js'
import { busyShare, phaseWork } from './work.js'

const shapes = fc
  .record({
    samples: fc.integer({ min: 1, max: 5000 }),
    inputs: fc.integer({ min: 1, max: 600 }),
    neurons: fc.integer({ min: 1, max: 300 }),
    groups: fc.constantFrom(1, 1, 2, 5),
    same: fc.boolean(),
    candidates: fc.constantFrom(1, 13),
    blocks: fc.integer({ min: 1, max: 4 }),
  })
  .map(({ samples, inputs, neurons, blocks, ...more }) =>
    denseShape(samples, inputs, neurons, {
      ...more,
      blockSize: Math.ceil(inputs / blocks),
      batchBytes: 4 * samples * inputs * more.groups,
    }),
  )
const forms = fc.constantFrom('gram' as const, 'direct' as const, 'none' as const, undefined)

/** What a plan says about results: everything but the room for threads. */
function withoutScratch({ bytes, regions, ...rest }: LayerPlan): unknown {
  const isScratch = ([name]: [string, number]): boolean => name.endsWith('scratch')
  const entries = Object.entries(regions)
  const scratch = entries.filter(isScratch).reduce((sum, [, region]) => sum + region, 0)
  return { ...rest, regions: entries.filter((entry) => !isScratch(entry)), shared: bytes - scratch }
}

function outOfMemory(shape: LayerShape, form?: 'gram' | 'direct'): { message: string; mebibytes: number } {
  try {
    planLayer(shape, 2, form)
  } catch (error) {
    expect(error).toBeInstanceOf(GpfqError)
    expect(error).toMatchObject({ code: 'OUT_OF_MEMORY' })
    const { message } = error as GpfqError
    return { message, mebibytes: Number(/a need of (\d+) MiB/.exec(message)?.[1]) }
  }
  return expect.fail('expected the plan not to fit')
}

describe('the cost model', () => {
  it('never sees a larger layer as less work', () => {
    const more = fc.constantFrom('samples' as const, 'inputs' as const, 'neurons' as const, 'groups' as const)
    fc.assert(
      fc.property(shapes, more, fc.integer({ min: 1, max: 400 }), (shape, what, extra) => {
        const larger = { ...shape, [what]: shape[what] + extra }
        expect(gramWork(larger)).toBeGreaterThanOrEqual(gramWork(shape))
        expect(directWork(larger)).toBeGreaterThanOrEqual(directWork(shape))
      }),
      { seed: 25, numRuns: 300 },
    )
  })

  it('knows that Xq = X is cheaper, and counts what the formulas say', () => {
    // Multiples of every block: mN² and 3mNK exactly, and N²K; a half where only a triangle is needed.
    const [m, n, k] = [4096, 512, 256]
    const shape = denseShape(m, n, k)
    expect(gramWork(shape) / (m * n * n + n * n * k)).toBeCloseTo(1, 1)
    expect(gramWork({ ...shape, same: true }) / ((m * n * n) / 2 + n * n * k)).toBeCloseTo(1, 1)
    expect(directWork(shape) / (3 * m * n * k)).toBeGreaterThan(1)
    expect(directWork(shape) / (3 * m * n * k)).toBeLessThan(1.3)
    expect(directWork({ ...shape, same: true })).toBeLessThan(0.75 * directWork(shape))
  })

  it('prefers the Gram form for wide layers and the direct form for few neurons on many samples', () => {
    expect(planLayer(denseShape(4096, 1024, 1024), 2).form).toBe('gram')
    expect(planLayer(denseShape(32768, 576, 16), 2).form).toBe('direct')
    expect(planLayer(denseShape(32768, 576, 16, { candidates: 13 }), 2).form).toBe('gram')
  })
})

describe('planLayer', () => {
  it('depends on the threads in nothing but scratch', async () => {
    await fc.assert(
      fc.asyncProperty(shapes, forms, async (shape, form) => {
        fc.pre((form !== 'direct' && form !== 'none') || shape.candidates === 1)
        const plans = [1, 2, 16, 256].map((threads) => planLayer(shape, threads, form))
        for (const plan of plans) expect(withoutScratch(plan)).toEqual(withoutScratch(plans[0]!))
        const [one, sixteen] = [await record(shape, 1, form), await record(shape, 16, form)]
        expect(sixteen.jobs).toEqual(one.jobs)
      }),
      { seed: 26, numRuns: 25 },
    )
  })

  it('chooses the same form for any number of threads, even when memory is short', () => {
    const at = (batchBytes: number, threads: number): string => {
      try {
        return planLayer(denseShape(500_000, 1000, 16, { batchBytes }), threads).form
      } catch (error) {
        return (error as GpfqError).code
      }
    }
    // The staging room at which the direct form ceases to fit, to the byte.
    let [fits, tooMuch] = [0, 2 ** 31]
    while (tooMuch - fits > 1) {
      const middle = Math.floor((fits + tooMuch) / 2)
      if (at(middle, 1) === 'direct') fits = middle
      else tooMuch = middle
    }
    for (const batchBytes of [fits - 2 ** 20, fits - 2 ** 14, fits, tooMuch]) {
      const chosen = [1, 2, 16, 64, 256].map((threads) => at(batchBytes, threads))
      // A form too large with many threads is an error, not another result.
      expect(new Set(chosen.filter((form) => form !== 'OUT_OF_MEMORY')).size).toBeLessThanOrEqual(1)
    }
  })

  it('counts the bytes that the form then takes', async () => {
    await fc.assert(
      fc.asyncProperty(shapes, forms, fc.constantFrom(1, 3, 16), async (shape, form, threads) => {
        fc.pre((form !== 'direct' && form !== 'none') || shape.candidates === 1)
        const { plan, bytes } = await record(shape, threads, form)
        const total = Object.values(plan.regions).reduce((sum, region) => sum + region, 0)
        expect(plan.bytes).toBe(total)
        const rounding = 64 * 30 // regions begin at multiples of 64 bytes, and there are less than 30
        expect(bytes).toBeGreaterThan(plan.bytes - rounding)
        expect(bytes).toBeLessThan(plan.bytes + rounding)
      }),
      { seed: 27, numRuns: 40 },
    )
  })

  it('falls back to the form that fits', () => {
    const shape = denseShape(1_000_000, 1000, 16, { batchBytes: 2 ** 23, batchRows: 2000 })
    expect(directWork(shape)).toBeLessThan(gramWork(shape))
    expect(planLayer(shape, 2).form).toBe('gram')
  })

  it('says what an absurd layer needs and what for', () => {
    const small = { batchBytes: 2 ** 20, batchRows: 4 }
    const wide = outOfMemory(denseShape(1000, 60_000, 16, small), 'gram')
    expect(wide.message).toContain('most of it Gram matrices')
    const matrices = (2 * 4 * 60_000 ** 2) / 2 / 2 ** 20
    expect(wide.mebibytes).toBeGreaterThan(matrices)
    expect(wide.mebibytes).toBeLessThan(1.1 * matrices)
    const long = outOfMemory(denseShape(10_000_000, 1000, 16, small), 'direct')
    expect(long.message).toContain('most of it packed samples')
    expect(long.mebibytes).toBeGreaterThan((2 * 4 * 1e10) / 2 ** 20)
    // Neither form fits.
    expect(outOfMemory(denseShape(10_000_000, 60_000, 16, small)).mebibytes).toBeGreaterThan(4096)
  })
})

/** Phases of a kernel in all jobs of a layer. */
async function phasesOf(shape: LayerShape, form: 'gram' | 'direct', kernel: string): Promise<Phase[]> {
  const { jobs } = await record(shape, 16, form)
  const phases = jobs.flat().filter((phase) => phase.some((task) => task.kernel === kernel))
  expect(phases.length).toBeGreaterThan(0)
  return phases
}

/** Layers that 16 threads are for: 2²⁵ multiply-adds are a millisecond on one thread, what a few jobs cost to start. */
const WORTH = 2 ** 25

/** 256 inputs or 16 neurons, or more. */
const wide = fc
  .record({
    samples: fc.integer({ min: 256, max: 6000 }),
    inputs: fc.integer({ min: 8, max: 1500 }),
    neurons: fc.integer({ min: 1, max: 700 }),
    groups: fc.constantFrom(1, 1, 1, 4),
    same: fc.boolean(),
  })
  .filter(({ inputs, neurons }) => inputs >= 256 || neurons >= 16)

/** Share of 16 threads' time that must have work. */
const BUSY = 0.6

describe('tiles', () => {
  it('of the Gram form leave no thread of 16 without work from 256 inputs or 16 neurons on, with search and without', async () => {
    await fc.assert(
      fc.asyncProperty(wide, fc.constantFrom(1, 13), async (layer, candidates) => {
        const { samples, inputs, neurons, ...more } = layer
        const batchBytes = 4 * samples * inputs * more.groups
        const shape = denseShape(samples, inputs, neurons, { ...more, candidates, batchBytes })
        const phases = phaseWork(shape, await record(shape, 16, 'gram'))
        const total = phases.reduce((sum, { work }) => sum + work, 0)
        fc.pre(total >= WORTH)
        for (const { kernel, work, tiles } of phases) {
          // A substitution cannot be cut finer than a panel of 8 neurons.
          const most = kernel === 'substitute' ? Math.min(16, Math.ceil(neurons / 8) * more.groups) : 16
          if (work >= 0.05 * total) expect(tiles).toBeGreaterThanOrEqual(most)
        }
        expect(busyShare(phases, 16)).toBeGreaterThan(BUSY)
      }),
      { seed: 28, numRuns: 60 },
    )
  })

  it.each([
    [2048, 256, 16],
    [2048, 300, 64],
    [1024, 576, 16],
    [1024, 1024, 1024],
    [512, 1000, 10],
  ])('of the matrices keep 16 threads busy: %i × %i × %i', async (m, n, k) => {
    for (const candidates of [1, 13]) {
      for (const same of [true, false]) {
        const [phase] = await phasesOf(denseShape(m, n, k, { candidates, same }), 'gram', 'gram')
        expect(tilesOfPhase(phase!)).toBeGreaterThanOrEqual(16)
      }
    }
  })

  it.each([16, 24, 64, 100, 128, 512, 1000, 4096])(
    'of the search keep 16 threads busy with %i neurons',
    async (k) => {
      const phases = await phasesOf(denseShape(64, 256, k, { candidates: 13 }), 'gram', 'substitute')
      expect(phases.length).toBe(2)
      expect(tilesOfPhase(phases[0]!)).toBeGreaterThanOrEqual(16)
      // The last substitution has a column a panel of 8 neurons, and cannot be cut finer.
      expect(tilesOfPhase(phases[1]!)).toBeGreaterThanOrEqual(Math.min(16, Math.ceil(k / 8)))
    },
  )

  it.each([128, 136, 512, 1000, 4096])(
    'of the substitution keep 16 threads busy with %i neurons',
    async (k) => {
      const phases = await phasesOf(denseShape(64, 128, k), 'gram', 'substitute')
      for (const phase of phases) expect(tilesOfPhase(phase)).toBeGreaterThanOrEqual(16)
    },
  )

  it('of the direct form keep 16 threads busy from 4,096 samples on', async () => {
    const phases = await phasesOf(denseShape(4096, 100, 16), 'direct', 'advance')
    for (const phase of phases) expect(tilesOfPhase(phase)).toBeGreaterThanOrEqual(16)
  })

  it('of the substitution end soon enough for an abort: at most 2²⁹ multiply-adds, or one panel of neurons', () => {
    for (const inputs of [100, 1000, 4096, 8192, 16384]) {
      const { strip } = planLayer(denseShape(64, inputs, 4096, { same: true }), 1, 'gram')
      const panel = 8 * (inputs ** 2 / 2)
      expect(strip === 1 || strip * panel <= 2 ** 29).toBe(true)
    }
  })
})
