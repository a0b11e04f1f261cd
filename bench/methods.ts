/**
 * Table (h): the time of each method's arithmetic on the layers of resnet20, in units of the time that H and G of plain
 * GPFQ take (sums of the lower triangles over 32,768 patches). A method's arithmetic is the verb solve, from the
 * observations to the codes: factors, projections, paths, passes and the search over 13 scales, with the caller's own work
 * and the copy of H and G into the kernels' memory. One thread.
 */
import { resolveRecipe } from '#src/methods/recipe.js'
import type { MethodOptions } from '#src/options.js'
import { type Case, cell, interleave, type Timing, timing } from './measure.js'
import { type Row, type Table, table } from './table.js'
import { createTileTimer, sum, type TileTimer, type TimedRun } from './tilePool.js'
import { convolutionWork, denseWork, observe, solve, type Work } from './work.js'

/** resnet20's layers, BatchNormalization folded: how many of each shape, on at most 32,768 patches of 1,024 images. */
const LAYERS: readonly { readonly count: number; readonly make: () => Work }[] = [
  { count: 1, make: () => convolution(3, 32, 16, true) },
  { count: 6, make: () => convolution(16, 32, 16) },
  { count: 1, make: () => convolution(16, 16, 32) },
  { count: 5, make: () => convolution(32, 16, 32) },
  { count: 1, make: () => convolution(32, 8, 64) },
  { count: 5, make: () => convolution(64, 8, 64) },
  { count: 1, make: () => denseWork({ samples: 1024, inputs: 64, neurons: 10 }, false) },
]

const PATCHES = 32768

const convolution = (channels: number, side: number, neurons: number, same = false): Work =>
  convolutionWork({ channels, side, neurons, groups: 1, images: PATCHES / side ** 2 }, same)

const METHODS: readonly { readonly name: string; readonly options: MethodOptions }[] = [
  { name: 'gpfq', options: {} },
  { name: 'gpfq, 3 passes', options: { passes: 3 } },
  { name: 'msq', options: { method: 'msq' } },
  { name: 'spfq', options: { method: 'spfq' } },
  { name: 'gptq', options: { method: 'gptq' } },
  { name: 'qronos', options: { method: 'qronos' } },
  { name: 'beacon', options: { method: 'beacon' } },
  { name: 'best', options: { preset: 'best' } },
]

/** The limit for every method, in the same unit. */
const MOST = 4

export async function benchMethods(repetitions: number, layers: number): Promise<Table[]> {
  const timer = await createTileTimer()
  const tables: Table[] = []
  for (const rule of ['max', 'search'] as const) {
    const rows: Row[] = []
    const totals = new Map<string, number[]>()
    const add = (name: string, { seconds }: Timing, count: number): void => {
      const total = totals.get(name) ?? seconds.map(() => 0)
      totals.set(
        name,
        total.map((value, i) => value + count * seconds[i]!),
      )
    }
    for (const { count, make } of LAYERS.slice(0, layers)) {
      const work = make()
      const plain: Case<TimedRun> = {
        name: 'H and G',
        run: () => timer.time(() => observe(timer.executor, work)),
        seconds: matrixSeconds,
      }
      const cases = [plain, ...(await methodCases(timer, work, rule))]
      const times = await interleave(cases, repetitions)
      for (const [name, time] of times) add(name, time, count)
      rows.push(methodRow(`${count} × ${work.name}`, times))
    }
    const all = new Map([...totals].map(([name, seconds]) => [name, timing(name, seconds)]))
    rows.push(methodRow('all', all))
    const names = METHODS.map(({ name }) => name)
    tables.push(
      table(
        `(h) Methods on resnet20's layers, radius ${rule}: H and G of plain GPFQ in seconds min / median ± spread, ` +
          `each method's own arithmetic in units of it (at most ${MOST}) ± spread`,
        ['layer', 'H and G', ...names],
        rows,
      ),
    )
  }
  return tables
}

/** Each method on observations that are made before its time is taken. */
async function methodCases(
  { executor, time }: TileTimer,
  work: Work,
  rule: 'max' | 'search',
): Promise<Case<TimedRun>[]> {
  const cases: Case<TimedRun>[] = []
  for (const { name, options } of METHODS) {
    const recipe = resolveRecipe({ ...options, radius: { rule } })
    // Beacon computes its scales itself, so no scales are searched.
    const how = { recipe, rule: recipe.method === 'beacon' ? ('max' as const) : rule }
    const observations = await observe(executor, work, how)
    cases.push({
      name,
      run: () => time(() => solve(executor, work, observations, how)),
      seconds: allSeconds,
    })
  }
  return cases
}

function methodRow(layer: string, times: ReadonlyMap<string, Timing>): Row {
  const base = times.get('H and G')!
  const ratios = METHODS.map(({ name }) => {
    const time = times.get(name)!
    const ratio = time.min / base.min
    const text = `${ratio.toFixed(2)}${ratio > MOST ? ' **!**' : ''} ± ${(100 * time.spread).toFixed(0)} %`
    return [name, { text, measured: time }] as const
  })
  return { layer, 'H and G': cell(base), ...Object.fromEntries(ratios) }
}

/** Seconds of H and G: the kernel alone, without packing. */
const matrixSeconds = ({ jobs }: TimedRun): number =>
  sum(
    jobs.flatMap(({ phases }) =>
      phases.flat().map(({ kernel, tiles }) => (kernel === 'gram' ? sum(tiles) : 0)),
    ),
  )

/** Seconds of all jobs and of the caller's own work. */
const allSeconds = ({ jobs, after }: TimedRun): number =>
  after + sum(jobs.map(({ before, phases }) => before + sum(phases.flat().map(({ tiles }) => sum(tiles)))))
