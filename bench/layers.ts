/**
 * Tables (b) and (c): whole layers, from the caller's arrays to codes, by shape and thread count, compared with rounding
 * and the NumPy twin. No program in the table measures the output error. One thread's time is also given by its parts:
 * observing the samples, and solving on the observations.
 */
import type { Job } from '#src/engine/job.js'
import { createPool } from '#src/engine/pool.js'
import { createExecutor } from '#src/executor/choose.js'
import { GPFQ } from '#src/methods/recipe.js'
import { loadModule } from '#src/platform/init.js'
import { PROBE_ROUNDS, peakOf, peakProbe } from './machine.js'
import { type Case, cell, interleave, type Timing, timing } from './measure.js'
import { numpyTimes } from './numpy.js'
import { type Row, type Table, table } from './table.js'
import {
  allPositions,
  type Convolution,
  convolutionWork,
  denseWork,
  operations,
  quantize,
  type Shape,
  type Spent,
  shapeOf,
  type Work,
} from './work.js'

export const SHAPES: readonly Shape[] = [
  [4096, 784, 500],
  [4096, 500, 300],
  [16384, 576, 64],
  [65536, 144, 16],
  [8192, 1152, 128],
  [4096, 4608, 512],
  [2048, 768, 3072],
  [2048, 3072, 768],
  [8192, 4096, 4096],
].map(([samples = 0, inputs = 0, neurons = 0]) => ({ samples, inputs, neurons }))

/** 65536×144×16 as in a network: the patches of 3 × 3 pixels of 16 channels. */
const PATCHES = { channels: 16, groups: 1, neurons: 16, side: 32, images: 64 }

/** A depthwise 3 × 3 convolution: 64 groups of 9 inputs and one neuron, 32,768 patches. */
const DEPTHWISE = { channels: 64, groups: 64, neurons: 1, side: 32, images: 32 }

/** The probe kernel, 40 ms on one thread in tiles of 0.1 ms: the best speedup that more threads can reach here. */
const PROBES: Job = [[{ kernel: 'probeArithmetic', args: [PROBE_ROUNDS], items: 400, step: 1 }]]

/** The layers that the NumPy twin can compute: those of one group. */
interface Peer {
  readonly shape: Shape
  readonly convolution: Convolution | null
}

interface Subject {
  readonly make: (same: boolean) => Work
  /** Facts that the shape does not show. */
  readonly of: string
  readonly peer: Peer | null
}

export async function benchLayers(
  repetitions: number,
  shapes: readonly Shape[],
  threads: readonly number[],
): Promise<Table[]> {
  const executors = await Promise.all(threads.map((count) => createExecutor({ threads: count })))
  const module = await loadModule()
  const pools = await Promise.all(threads.map((count) => createPool(count, module)))
  const probe = await peakProbe()
  const rows: Row[] = []
  const scaling: Row[] = []
  for (const { make, of, peer } of subjectsOf(shapes)) {
    for (const same of [true, false]) {
      const work = make(same)
      const spent: Spent[] = [] // on one thread
      const cases: Case[] = [
        probe as Case,
        ...executors.map((executor) => ({
          name: `gpfq ${executor.threads}`,
          async run() {
            const parts = await quantize(executor, work)
            if (executor.threads === 1) spent.push(parts)
          },
        })),
        ...pools.map((pool) => ({ name: `probes ${pool.threads}`, run: () => pool.run(PROBES) })),
        {
          name: 'rounding',
          run: () => quantize(executors[0]!, work, { recipe: { ...GPFQ, method: 'msq' } }),
        },
      ]
      const times = await interleave(cases, repetitions)
      const numpy = peer === null ? null : await numpyTimes(peer.shape, peer.convolution, same, repetitions)
      const layer = { shape: `${work.name}${of}`, Xq: same ? '= X' : '≠ X' }
      rows.push({
        ...layer,
        ...partCells(work, spent.slice(1), peakOf(times.get('probe')!)), // the first was the warm-up
        both: cell(times.get('gpfq 1')!),
        rounding: cell(times.get('rounding')!),
        'NumPy, better form + patches': numpy ?? '–',
      })
      scaling.push({ ...layer, ...threadCells(times, threads) })
    }
  }
  for (const { close } of [...executors, ...pools]) await close()
  return [
    table(
      '(b) Whole layers, 1 thread, 15 levels: seconds min / median ± spread (GFLOP/s, fraction of the probe beside it)',
      ['shape', 'Xq', 'observe', 'solve', 'both', 'rounding', 'NumPy, better form + patches'],
      rows,
    ),
    table(
      '(c) Threads: seconds min / median ± spread (× one thread, and the same of the probe), observe and solve',
      ['shape', 'Xq', ...threads.map((count) => `${count} threads`)],
      scaling,
    ),
  ]
}

const subjectsOf = (shapes: readonly Shape[]): readonly Subject[] => [
  ...shapes.map((shape) => ({
    make: (same: boolean) => denseWork(shape, same),
    of: '',
    peer: { shape, convolution: null },
  })),
  ...[PATCHES, DEPTHWISE].map((layer) => ({
    make: (same: boolean) => allPositions(convolutionWork(layer, same)),
    of: layer.groups === 1 ? ', patches' : `, ${layer.groups} groups`,
    peer: layer.groups === 1 ? { shape: shapeOf(layer), convolution: layer } : null,
  })),
]

/** Both verbs by themselves. */
function partCells(work: Work, spent: readonly Spent[], peak: number): Row {
  const counts = operations(work)
  const cells = (['observe', 'solve'] as const).map((verb) => {
    const time = timing(
      verb,
      spent.map((parts) => parts[verb]),
    )
    const gflops = counts[verb] / time.min / 1e9
    return [verb, cell(time, 's', ` (${gflops.toFixed(1)}, ${(gflops / peak).toFixed(2)})`)] as const
  })
  return Object.fromEntries(cells)
}

/** Each number of threads, beside what as many are worth to the probe. */
function threadCells(times: ReadonlyMap<string, Timing>, threads: readonly number[]): Row {
  const ratio = (name: string, count: number): string =>
    (times.get(`${name} 1`)!.min / times.get(`${name} ${count}`)!.min).toFixed(2)
  return Object.fromEntries(
    threads.map((count) => {
      const more = count === 1 ? '' : ` (${ratio('gpfq', count)}×, probe ${ratio('probes', count)}×)`
      return [`${count} threads`, cell(times.get(`gpfq ${count}`)!, 's', more)]
    }),
  )
}
