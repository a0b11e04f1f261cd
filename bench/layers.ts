/**
 * Tables (b) and (c): whole layers, from the caller's arrays to codes, by shape, form and thread count, compared with
 * rounding and the NumPy twin. No program in the table measures the output error. The form that was not chosen is timed
 * on one thread too, wherever it fits, so that a wrong choice of the cost model shows.
 */
import type { Job } from '#src/engine/job.js'
import { createPool } from '#src/engine/pool.js'
import { createExecutor } from '#src/executor/choose.js'
import type { SamplesResult } from '#src/methods/quantizeSamples.js'
import { GPFQ } from '#src/methods/recipe.js'
import { loadModule } from '#src/platform/init.js'
import { PROBE_ROUNDS, peakOf, peakProbe } from './machine.js'
import { type Case, cell, interleave, type Timing } from './measure.js'
import { numpyTimes } from './numpy.js'
import { type Cell, type Row, type Table, table } from './table.js'
import {
  allPositions,
  type Convolution,
  convolutionWork,
  denseWork,
  operations,
  planOf,
  quantize,
  type Shape,
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

const FORMS = ['gram', 'direct'] as const

/** How much slower than the better form the chosen one may be before the table marks it. */
const SLACK = 1.1

/** The probe kernel, 40 ms on one thread in tiles of 0.1 ms: the best speedup that more threads can reach here. */
const PROBES: Job = [
  [{ kernel: 'probeArithmetic', args: [PROBE_ROUNDS], items: 400, step: 1, scratch: false }],
]

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
  const one = executors[0]!
  const probe = await peakProbe()
  const rows: Row[] = []
  const scaling: Row[] = []
  const subjects: Subject[] = [
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
  for (const { make, of, peer } of subjects) {
    for (const same of [true, false]) {
      const work = make(same)
      const chosen = planOf(work)!.form
      const forms = FORMS.filter((form) => planOf(work, form) !== null)
      const timed = (name: string, run: () => Promise<SamplesResult>): Case<SamplesResult> => ({
        name,
        run,
        seconds: ({ seconds }) => seconds,
      })
      const cases = [
        probe,
        ...forms.map((form) => timed(`${form} 1`, () => quantize(one, work, { form }))),
        ...executors
          .slice(1)
          .map((executor, i) =>
            timed(`${chosen} ${threads[i + 1]}`, () => quantize(executor, work, { form: chosen })),
          ),
        ...pools.map((pool) => ({ name: `probes ${pool.threads}`, run: () => pool.run(PROBES) })),
        timed('rounding', () => quantize(one, work, { form: 'none', recipe: { ...GPFQ, method: 'msq' } })),
      ]
      const times = await interleave(cases as Case[], repetitions)
      const numpy = peer === null ? null : await numpyTimes(peer.shape, peer.convolution, same, repetitions)
      const peak = peakOf(times.get('probe')!)
      const formCell = (form: 'gram' | 'direct'): Cell => {
        const time = times.get(`${form} 1`)
        if (time === undefined) return 'does not fit'
        const gflops = operations(work, form) / time.min / 1e9
        return cell(time, 's', ` (${gflops.toFixed(1)}, ${(gflops / peak).toFixed(2)})`)
      }
      const least = (form: string): number => times.get(`${form} 1`)?.min ?? Number.POSITIVE_INFINITY
      const ratio = least(chosen) / Math.min(...FORMS.map(least))
      const layer = { shape: `${work.name}${of}`, Xq: same ? '= X' : '≠ X' }
      rows.push({
        ...layer,
        gram: formCell('gram'),
        direct: formCell('direct'),
        chosen,
        'chosen / better': `${ratio.toFixed(2)}${ratio > SLACK ? ' **!**' : ''}`,
        rounding: cell(times.get('rounding')!),
        'NumPy, better form + patches': numpy ?? '–',
      })
      const base = times.get(`${chosen} 1`)!
      scaling.push({
        ...layer,
        form: chosen,
        ...Object.fromEntries(
          threads.map((count) => {
            const time = times.get(`${chosen} ${count}`)!
            const ratio = (of: Timing, one: Timing): string => (one.min / of.min).toFixed(2)
            const best = ratio(times.get(`probes ${count}`)!, times.get('probes 1')!)
            return [
              `${count} threads`,
              cell(time, 's', count === 1 ? '' : ` (${ratio(time, base)}×, probe ${best}×)`),
            ]
          }),
        ),
      })
    }
  }
  for (const { close } of [...executors, ...pools]) await close()
  return [
    table(
      '(b) Whole layers, 1 thread, 15 levels: seconds min / median ± spread (GFLOP/s, fraction of the probe beside it); ' +
        `**!** marks a choice more than ${SLACK.toFixed(2)} × the better form`,
      [
        'shape',
        'Xq',
        'gram',
        'direct',
        'chosen',
        'chosen / better',
        'rounding',
        'NumPy, better form + patches',
      ],
      rows,
    ),
    table(
      '(c) Threads: seconds min / median ± spread (× one thread, and the same of the probe), chosen form',
      ['shape', 'Xq', 'form', ...threads.map((count) => `${count} threads`)],
      scaling,
    ),
  ]
}
