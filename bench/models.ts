/**
 * Table (d): whole models by phase. Calibration is the time in ONNX Runtime, from loading a segment to its outputs, for
 * both streams. Quantization is everything else except verification: reading, starting the pool, cutting segments,
 * patches, H and G, codes, writing. Cores busy is the processor time of the whole process over the wall time, as a
 * median; it includes the threads of ONNX Runtime, which spin while they wait.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { createOrtWebRunner } from '#src/calibration/onnxRuntime.js'
import type { Runner } from '#src/calibration/runner.js'
import { type FeedOptions, loadFeeds } from '#src/data/feeds.js'
import { openData, readBytes } from '#src/data/files.js'
import { quantizeModel } from '#src/model/quantizeModel.js'
import { openModel } from '#src/onnx/openModel.js'
import { type Case, cell, interleave, percent, type Timing, timing } from './measure.js'
import { type Cell, type Row, type Table, table } from './table.js'

const assets = join('..', 'shared', 'assets')

const MODELS: readonly { name: string; model: string; data: string; samples: number; feeds: FeedOptions }[] =
  [
    {
      name: 'resnet20',
      model: 'models/cifar10-resnet20.onnx',
      data: 'cifar10/train5k-images.npy.gz',
      samples: 1024,
      feeds: { scale: 255, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] },
    },
    {
      name: 'mobilenet',
      model: 'models/imagenet-mobilenetv1-0.25-224.onnx',
      data: 'imagenet/calib',
      samples: 300,
      feeds: { scale: 127.5, mean: [1] },
    },
    {
      name: 'llama',
      model: 'models/tinystories-llama-260k-t256.onnx',
      data: 'text/tinystories-calib-tokens.npy.gz',
      samples: 320,
      feeds: {},
    },
  ]

/** Seconds of the clock and of all processors. */
interface Spent {
  wall: number
  processor: number
}

const now = (): Spent => {
  const { user, system } = process.cpuUsage()
  return { wall: performance.now() / 1000, processor: (user + system) / 1e6 }
}

const since = (start: Spent): Spent => {
  const end = now()
  return { wall: end.wall - start.wall, processor: end.processor - start.processor }
}

const minus = (a: Spent, b: Spent): Spent => ({ wall: a.wall - b.wall, processor: a.processor - b.processor })

/** The same runner; its times are added to `spent`. */
function timedRunner(runner: Runner, spent: Spent): Runner {
  async function timed<T>(act: () => Promise<T>): Promise<T> {
    const start = now()
    const result = await act()
    const { wall, processor } = since(start)
    spent.wall += wall
    spent.processor += processor
    return result
  }
  return {
    name: runner.name,
    async load(model) {
      const session = await timed(() => runner.load(model))
      return {
        inputs: session.inputs,
        outputs: session.outputs,
        run: (...args) => timed(() => session.run(...args)),
        close: () => timed(() => session.close()),
      }
    },
  }
}

interface ModelTimes {
  readonly calibration: Spent
  readonly quantization: Spent
  readonly verify: Spent
  readonly total: number
  readonly memory: number
}

export async function benchModels(threads: number, repetitions: number): Promise<Table | null> {
  if (!existsSync(assets)) return null
  const runner = await createOrtWebRunner({ threads })
  const rows: Row[] = []
  for (const { name, model, data, samples, feeds } of MODELS) {
    const bytes = await readBytes(join(assets, model))
    const { inputs } = await openModel(bytes)
    const calibration = await loadFeeds([await openData(join(assets, data))], inputs, { ...feeds, samples })
    const results = new Map<string, ModelTimes[]>()
    const cases = (['search', 'max'] as const).map((rule): Case => {
      const times: ModelTimes[] = []
      results.set(rule, times)
      return {
        name: rule,
        async run() {
          const inRunner: Spent = { wall: 0, processor: 0 }
          const start = now()
          let written = start
          let beforeVerify: Spent = inRunner
          const { report } = await quantizeModel(bytes, {
            calibration,
            runner: timedRunner(runner, inRunner),
            threads,
            radius: { rule },
            onProgress({ type }) {
              if (type !== 'verify') return
              written = now()
              beforeVerify = { ...inRunner }
            },
          })
          const all = since(start)
          const verify = since(written)
          times.push({
            calibration: beforeVerify,
            quantization: minus(minus(all, verify), beforeVerify),
            verify,
            total: all.wall,
            memory: report.peakMemoryBytes,
          })
        },
      }
    })
    await interleave(cases, repetitions)
    for (const [rule, warm] of results) {
      const times = warm.slice(1) // the first was the warm-up
      const phase = (what: 'calibration' | 'quantization' | 'verify') =>
        timing(
          what,
          times.map((time) => time[what].wall),
        )
      const busy = (what: 'calibration' | 'quantization'): string =>
        median(times.map((time) => time[what].processor / time[what].wall)).toFixed(2)
      const ratio = timing(
        'ratio',
        times.map(({ calibration: c, quantization: q }) => q.wall / c.wall),
      )
      rows.push({
        model: `${name}, ${samples} samples, radius ${rule}`,
        calibration: cell(phase('calibration')),
        'cores busy, calibration': busy('calibration'),
        'quantization proper': cell(phase('quantization')),
        'cores busy, quantization': busy('quantization'),
        'quantization / calibration': ratioCell(ratio),
        verify: cell(phase('verify')),
        total: cell(
          timing(
            'total',
            times.map(({ total }) => total),
          ),
        ),
        'memory, MiB': (Math.max(...times.map(({ memory }) => memory)) / 2 ** 20).toFixed(0),
      })
    }
  }
  return table(
    `(d) Whole models by phase, ${threads} threads: seconds min / median ± spread; the ratio should be at most 1`,
    [
      'model',
      'calibration',
      'cores busy, calibration',
      'quantization proper',
      'cores busy, quantization',
      'quantization / calibration',
      'verify',
      'total',
      'memory, MiB',
    ],
    rows,
  )
}

function ratioCell(measured: Timing): Cell {
  const { median: middle, spread } = measured
  return { text: `${middle.toFixed(2)}${middle > 1 ? ' **!**' : ''} ± ${percent(spread)}`, measured }
}

const median = (values: readonly number[]): number => timing('', values).median
