/**
 * Tables (b) and (c): whole layers, from the caller's arrays to codes, by shape, form and thread count, beside rounding and
 * (for small shapes) the plain TypeScript recursion and the NumPy twin. The error is not measured, as nobody's is.
 */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { createQuantizer, type LayerProblem, type LayerResult, type Quantizer } from '#src/index.js'
import { type LayerPlan, planLayer } from '#src/methods/plan.js'
import { gpfq } from '#src/reference/gpfq.js'
import type { Machine } from './machine.js'
import { type Case, interleave, type Timing, uniform } from './measure.js'
import { type Table, table } from './table.js'

export interface Shape {
  readonly samples: number
  readonly inputs: number
  readonly neurons: number
}

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

export const nameOf = ({ samples, inputs, neurons }: Shape): string => `${samples}×${inputs}×${neurons}`

/** Post-ReLU inputs, slightly different in the quantized network. */
export function problemOf({ samples, inputs, neurons }: Shape, same: boolean): LayerProblem {
  const next = uniform(7)
  const x = new Float32Array(samples * inputs)
  const xq = same ? undefined : new Float32Array(samples * inputs)
  for (let i = 0; i < x.length; i++) {
    const value = 2 * next() - 1
    x[i] = Math.max(0, value)
    if (xq !== undefined) xq[i] = Math.max(0, value + 0.1 * (next() - 0.5))
  }
  const weights = Float32Array.from({ length: inputs * neurons }, () => (next() - 0.5) / Math.sqrt(inputs))
  return { weights, inputs, neurons, samples: x, ...(xq === undefined ? {} : { quantizedSamples: xq }) }
}

/** Operations of a form, a multiply-add counted twice, without padding. */
export function operations(
  { samples: m, inputs: n, neurons: k }: Shape,
  form: string,
  same: boolean,
): number {
  return form === 'gram' ? m * n * n * (same ? 1 : 2) + 2 * n * n * k : 2 * m * n * k * (same ? 2 : 3)
}

const layerCase = (
  name: string,
  quantizer: Quantizer,
  problem: LayerProblem,
  options: { form?: 'gram' | 'direct'; levels?: number; method?: 'msq' },
): Case<LayerResult> => ({
  name,
  run: () =>
    quantizer.quantizeLayer(problem, { radius: { rule: 'max' }, measure: false, levels: 15, ...options }),
  seconds: ({ seconds }) => seconds,
})

export async function benchLayers(
  machine: Machine,
  repetitions: number,
  shapes: readonly Shape[],
  threads: readonly number[],
): Promise<Table[]> {
  const quantizers = await Promise.all(threads.map((count) => createQuantizer({ threads: count })))
  const rows: Record<string, string>[] = []
  const scaling: Record<string, string>[] = []
  for (const shape of shapes) {
    for (const same of [true, false]) {
      const problem = problemOf(shape, same)
      const plans = { gram: planOf(shape, same, 'gram'), direct: planOf(shape, same, 'direct') }
      const chosen = planOf(shape, same).form as 'gram' | 'direct'
      const forms = (['gram', 'direct'] as const).filter(
        (form) => plans[form].work < TOO_LONG * plans[chosen].work,
      )
      const cases: Case<LayerResult>[] = []
      for (const [i, quantizer] of quantizers.entries()) {
        for (const form of forms) {
          cases.push(layerCase(`${form} ${threads[i]}`, quantizer, problem, { form }))
        }
      }
      cases.push(layerCase('rounding', quantizers[0]!, problem, { method: 'msq' }))
      const times = await interleave(cases as Case[], repetitions)
      const numpy = await numpyTimes(shape, same, threads[0] ?? 1)
      const cell = (form: 'gram' | 'direct'): string => {
        if (!forms.includes(form))
          return `– (${(plans[form].work / plans[chosen].work).toFixed(1)} × the work)`
        const time = times.get(`${form} ${threads[0]}`)!
        const gflops = operations(shape, form, same) / time.min / 1e9
        return `${seconds(time)} (${gflops.toFixed(1)}, ${(gflops / machine.peakGflops).toFixed(2)})`
      }
      rows.push({
        shape: nameOf(shape),
        Xq: same ? '= X' : '≠ X',
        gram: cell('gram'),
        direct: cell('direct'),
        chosen,
        rounding: seconds(times.get('rounding')!),
        'NumPy, better form': numpy === null ? '–' : `${numpy.toFixed(4)}`,
      })
      const row: Record<string, string> = { shape: nameOf(shape), Xq: same ? '= X' : '≠ X', form: chosen }
      const base = times.get(`${chosen} ${threads[0]}`)!.min
      for (const count of threads) {
        const time = times.get(`${chosen} ${count}`)!
        row[`${count} threads`] =
          `${seconds(time)}${count === threads[0] ? '' : ` (${(base / time.min).toFixed(2)}×)`}`
      }
      scaling.push(row)
    }
  }
  for (const quantizer of quantizers) await quantizer.close()
  return [
    table(
      `(b) Whole layers, ${threads[0]} thread, 15 levels: seconds min ± spread (GFLOP/s, fraction of peak)`,
      ['shape', 'Xq', 'gram', 'direct', 'chosen', 'rounding', 'NumPy, better form'],
      rows,
    ),
    table(
      '(c) Threads: seconds min ± spread (× one thread), chosen form',
      ['shape', 'Xq', 'form', ...threads.map((count) => `${count} threads`)],
      scaling,
    ),
  ]
}

/** A form with more than this many times the work of the chosen one is not timed. */
const TOO_LONG = 2

function planOf({ samples, inputs, neurons }: Shape, same: boolean, form?: 'gram' | 'direct'): LayerPlan {
  const layer = { samples, inputs, neurons, groups: 1, same, candidates: 1, scaleBlocks: 1 }
  return planLayer({ ...layer, batchBytes: 0, batchPaddedBytes: 0, batchRows: 0 }, 1, form)
}

/** The plain TypeScript recursion, float64, on a part of the neurons, scaled up; the floor of what JavaScript does. */
export async function benchPlain(shapes: readonly Shape[], repetitions: number): Promise<Table> {
  const rows: Record<string, string>[] = []
  const quantizer = await createQuantizer({ threads: 1 })
  for (const shape of shapes) {
    const problem = problemOf(shape, false)
    const part = Math.min(2, shape.neurons)
    const weights = Float32Array.from(
      { length: shape.inputs * part },
      (_, i) => problem.weights[Math.floor(i / part) * shape.neurons + (i % part)]!,
    )
    const times = await interleave(
      [
        {
          name: 'plain',
          run: () =>
            gpfq({
              weights,
              samples: problem.samples,
              quantizedSamples: problem.quantizedSamples ?? problem.samples,
              rows: shape.samples,
              inputs: shape.inputs,
              neurons: part,
              levels: 15,
              scales: new Float32Array(part).fill(0.01),
              blockSize: shape.inputs,
              zero: 7,
            }),
        },
        layerCase('gpfq', quantizer, problem, {}) as Case,
      ],
      repetitions,
    )
    const plain = times.get('plain')!.min * (shape.neurons / part)
    const own = times.get('gpfq')!.min
    rows.push({
      shape: nameOf(shape),
      'plain TypeScript': `~${plain.toFixed(2)}`,
      gpfq: own.toFixed(4),
      ratio: `${(plain / own).toFixed(0)}×`,
    })
  }
  await quantizer.close()
  return table(
    'Baseline: direct recursion in plain TypeScript (extrapolated from 2 neurons), one thread',
    ['shape', 'plain TypeScript', 'gpfq', 'ratio'],
    rows,
  )
}

const seconds = ({ min, spread }: Timing): string => `${min.toFixed(4)} ± ${(100 * spread).toFixed(0)} %`

const numpyScript = join('..', 'shared', 'oracle', 'numpy_peer.py')

/** Seconds of the NumPy twin's better form, null where Python, NumPy or the script is missing. */
async function numpyTimes(
  { samples, inputs, neurons }: Shape,
  same: boolean,
  threads: number,
): Promise<number | null> {
  if (!existsSync(numpyScript)) return null
  const args = [samples, inputs, neurons, '--threads', threads, '--reps', 3].map(String)
  try {
    const env = { ...process.env }
    // Older OpenBLAS builds need these to be safe; a current one is slowed down by them.
    delete env.OPENBLAS_CORETYPE
    delete env.OPENBLAS_L2_SIZE
    const { stdout } = await promisify(execFile)(
      'python3',
      [numpyScript, ...args, ...(same ? ['--same'] : [])],
      { env },
    )
    return Math.min(
      ...stdout
        .trim()
        .split('\n')
        .map((line) => (JSON.parse(line) as { seconds: { min: number } }).seconds.min),
    )
  } catch {
    return null
  }
}
