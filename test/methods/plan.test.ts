/** Plans are functions of shapes alone, count memory before it is used, and have enough tiles for many threads. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Phase, tilesOfPhase } from '#src/engine/job.js'
import { GpfqError } from '#src/errors.js'
import { allocate, type Layout } from '#src/methods/layout.js'
import { resolveRecipe } from '#src/methods/recipe.js'
import { patchWork } from '#src/methods/samplePlan.js'
import { Arena } from '#src/wasm/arena.js'
import { layerShape, plansOf, record, type Shape } from './recording.js'
import { busyShare, phaseWork } from './work.js'

const recipes = fc.constantFrom(
  resolveRecipe({ radius: { rule: 'max' } }),
  resolveRecipe({}),
  resolveRecipe({ method: 'msq', passes: 1 }),
  resolveRecipe({ preset: 'best' }),
  resolveRecipe({ method: 'spfq', alignment: 2 }),
  resolveRecipe({ method: 'beacon' }),
  resolveRecipe({ sparsity: { rule: 'hard', value: 0.1 } }),
)

const shapes = fc
  .record({
    samples: fc.integer({ min: 1, max: 5000 }),
    inputs: fc.integer({ min: 1, max: 300 }),
    neurons: fc.integer({ min: 1, max: 200 }),
    groups: fc.constantFrom(1, 1, 2, 5),
    streamsEqual: fc.boolean(),
    candidates: fc.constantFrom(1 as const, 13 as const),
    blocks: fc.integer({ min: 1, max: 4 }),
    recipe: recipes,
  })
  .map(({ samples, inputs, neurons, blocks, ...more }) =>
    layerShape(samples, inputs, neurons, { ...more, blockSize: Math.ceil(inputs / blocks) }),
  )

/** The part of a layout that results depend on: everything but the scratch of threads. */
const withoutScratch = ({ regions }: Layout): unknown =>
  Object.entries(regions)
    .filter(([name]) => !name.endsWith('scratch'))
    .map(([name, { bytes, from, to }]) => ({ name, bytes, from, to }))

describe('the plans', () => {
  it('depend on the number of threads only in scratch', async () => {
    await fc.assert(
      fc.asyncProperty(shapes, async (shape) => {
        const plans = [1, 2, 16, 256].map((threads) => plansOf(shape, threads).solve)
        for (const { layout, ...rest } of plans) {
          const { layout: first, ...others } = plans[0]!
          expect(rest).toEqual(others)
          expect(withoutScratch(layout)).toEqual(withoutScratch(first))
        }
      }),
      { seed: 26, numRuns: 60 },
    )
  })

  it('ask for the same jobs whatever the threads, up to addresses', async () => {
    const withoutAddresses = (jobs: Awaited<ReturnType<typeof record>>['jobs']): unknown =>
      jobs.map((job) => job.map((phase) => phase.map(({ kernel, items, step }) => ({ kernel, items, step }))))
    await fc.assert(
      fc.asyncProperty(shapes, async (shape) => {
        const [one, sixteen] = [await record(shape, 1), await record(shape, 16)]
        expect(withoutAddresses(sixteen.jobs)).toEqual(withoutAddresses(one.jobs))
      }),
      { seed: 31, numRuns: 20 },
    )
  })

  it('count the bytes that the verbs use, exactly but for one alignment each', async () => {
    await fc.assert(
      fc.asyncProperty(shapes, fc.constantFrom(1, 3, 16), async (shape, threads) => {
        const { samples, solve } = plansOf(shape, threads)
        const { bytes } = await record(shape, threads)
        const planned = Math.max(samples.layout.bytes, solve.layout.bytes)
        expect(bytes).toBeGreaterThanOrEqual(planned)
        expect(bytes).toBeLessThan(planned + 64)
      }),
      { seed: 27, numRuns: 40 },
    )
  })

  it('count multiply-adds by the formulas: a triangle of H, and of G the part that is summed', () => {
    const [m, n] = [4096, 512]
    const of = (streamsEqual: boolean, wholeG: boolean): number =>
      patchWork({ inputs: n, groups: 1, streamsEqual, wholeG }, m) / (m * n * n)
    expect(of(true, true)).toBeCloseTo(0.5, 1)
    expect(of(false, false)).toBeCloseTo(1, 1)
    expect(of(false, true)).toBeCloseTo(1.5, 1)
  })

  it('name the memory that a far too large layer needs, and for what, before any work', async () => {
    const absurd = layerShape(64, 60_000, 16, { streamsEqual: true })
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 65536, shared: true })
    const failure = (layout: Layout): GpfqError => {
      try {
        allocate(new Arena(memory), layout)
      } catch (error) {
        if (error instanceof GpfqError) return error
      }
      return expect.fail('expected the plan not to fit')
    }
    for (const [{ layout }, region, matrices] of [
      [plansOf(absurd, 2).samples, 'sums', (4 * 60_000 ** 2) / 2],
      [plansOf({ ...absurd, inputs: 40_000, candidates: 13 }, 2).solve, 'H', 4 * 40_000 ** 2],
    ] as const) {
      const { code, problem } = failure(layout)
      expect(code).toBe('OUT_OF_MEMORY')
      expect(problem).toContain(`most of it ${region}`)
      const mebibytes = Number(/it needs (\d+) MiB/.exec(problem ?? '')?.[1])
      expect(mebibytes).toBeGreaterThan(matrices / 2 ** 20)
      expect(mebibytes).toBeLessThan((1.2 * matrices) / 2 ** 20)
    }
  })
})

/** Phases of a kernel in all jobs of a layer. */
async function phasesOf(shape: Shape, kernel: string): Promise<Phase[]> {
  const { jobs } = await record(shape, 16)
  const phases = jobs.flat().filter((phase) => phase.some((task) => task.kernel === kernel))
  expect(phases.length).toBeGreaterThan(0)
  return phases
}

/** Layers large enough for 16 threads: 2²⁵ multiply-adds take a millisecond on one thread, like the start of a few jobs. */
const WORTH = 2 ** 25

/** 256 inputs or 16 neurons, or more. */
const wide = fc
  .record({
    samples: fc.integer({ min: 256, max: 6000 }),
    inputs: fc.integer({ min: 8, max: 1500 }),
    neurons: fc.integer({ min: 1, max: 700 }),
    groups: fc.constantFrom(1, 1, 1, 4),
    streamsEqual: fc.boolean(),
  })
  .filter(({ inputs, neurons }) => inputs >= 256 || neurons >= 16)

/** Share of 16 threads' time that must have work. */
const BUSY = 0.6

describe('tiles', () => {
  it('leave none of 16 threads without work from 256 inputs or 16 neurons on, with and without search', async () => {
    await fc.assert(
      fc.asyncProperty(wide, fc.constantFrom(1 as const, 13 as const), async (layer, candidates) => {
        const { samples, inputs, neurons, ...more } = layer
        const shape = layerShape(samples, inputs, neurons, { ...more, candidates })
        const phases = phaseWork(shape, await record(shape, 16))
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
    for (const candidates of [1, 13] as const) {
      for (const streamsEqual of [true, false]) {
        const [phase] = await phasesOf(layerShape(m, n, k, { candidates, streamsEqual }), 'gram')
        expect(tilesOfPhase(phase!)).toBeGreaterThanOrEqual(16)
      }
    }
  })

  it.each([16, 24, 64, 100, 128, 512, 1000, 4096])(
    'of the search keep 16 threads busy with %i neurons',
    async (k) => {
      const phases = await phasesOf(layerShape(64, 256, k, { candidates: 13 }), 'substitute')
      expect(phases.length).toBe(2)
      expect(tilesOfPhase(phases[0]!)).toBeGreaterThanOrEqual(16)
      // The last substitution has a column a panel of 8 neurons, and cannot be cut finer.
      expect(tilesOfPhase(phases[1]!)).toBeGreaterThanOrEqual(Math.min(16, Math.ceil(k / 8)))
    },
  )

  it.each([128, 136, 512, 1000, 4096])(
    'of the substitution keep 16 threads busy with %i neurons',
    async (k) => {
      const phases = await phasesOf(layerShape(64, 128, k), 'substitute')
      for (const phase of phases) expect(tilesOfPhase(phase)).toBeGreaterThanOrEqual(16)
    },
  )

  it('of the substitution end soon enough for an abort: at most 2²⁹ multiply-adds, or one panel of neurons', () => {
    for (const inputs of [100, 1000, 4096, 8192, 16384]) {
      const { strip } = plansOf(layerShape(64, inputs, 4096, { streamsEqual: true }), 1).solve
      const panel = 8 * (inputs ** 2 / 2)
      expect(strip === 1 || strip * panel <= 2 ** 29).toBe(true)
    }
  })
})
