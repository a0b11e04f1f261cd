/**
 * Tables (d) and (e): whole models by phase, and growth: how time follows samples, inputs, neurons and depth when each is
 * doubled, with the fitted exponent.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { createOrtWebRunner } from '#src/calibration/onnxRuntime.js'
import type { Feeds } from '#src/calibration/runner.js'
import { type FeedOptions, loadFeeds } from '#src/data/feeds.js'
import { openData, readBytes } from '#src/data/files.js'
import { createQuantizer } from '#src/index.js'
import { encodeModel } from '#src/onnx/model.js'
import { quantizeModel } from '#src/quantizeModel.js'
import { problemOf, type Shape } from './layers.js'
import { exponent, interleave, uniform } from './measure.js'
import { denseChain } from './model.js'
import { type Table, table } from './table.js'

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

export async function benchModels(threads: number, repetitions: number): Promise<Table | null> {
  if (!existsSync(assets)) return null
  const runner = await createOrtWebRunner({ threads })
  const rows: Record<string, string>[] = []
  for (const { name, model, data, samples, feeds } of MODELS) {
    const bytes = await readBytes(join(assets, model))
    const session = await runner.load(bytes)
    const calibration = await loadFeeds([await openData(join(assets, data))], session.inputs, {
      ...feeds,
      samples,
    })
    await session.close()
    for (const radius of ['search', 'max'] as const) {
      const reports = []
      for (let i = 0; i < repetitions; i++) {
        const { report } = await quantizeModel(bytes, {
          calibration,
          runner,
          threads,
          radius: { rule: radius },
        })
        reports.push(report)
      }
      reports.sort((a, b) => a.seconds.total - b.seconds.total)
      const { seconds, peakMemoryBytes } = reports[0]!
      rows.push({
        model: `${name}, ${samples} samples, radius ${radius}`,
        calibration: seconds.calibration.toFixed(2),
        quantization: seconds.quantization.toFixed(2),
        verify: seconds.verify.toFixed(2),
        total: `${seconds.total.toFixed(2)} … ${reports.at(-1)!.seconds.total.toFixed(2)}`,
        'quantization / calibration': (seconds.quantization / seconds.calibration).toFixed(2),
        'memory, MiB': (peakMemoryBytes / 2 ** 20).toFixed(0),
      })
    }
  }
  return table(
    `(d) Whole models by phase, ${threads} threads: seconds of the fastest of ${repetitions}`,
    ['model', 'calibration', 'quantization', 'verify', 'total', 'quantization / calibration', 'memory, MiB'],
    rows,
  )
}

export async function benchGrowth(threads: number, repetitions: number, doublings: number): Promise<Table> {
  const rows: Record<string, string>[] = []
  const quantizer = await createQuantizer({ threads })
  const base: Shape = { samples: 2048, inputs: 256, neurons: 128 }
  for (const axis of ['samples', 'inputs', 'neurons'] as const) {
    const values = Array.from({ length: doublings + 1 }, (_, i) => base[axis] * 2 ** i)
    const cases = values.map((value) => {
      const problem = problemOf({ ...base, [axis]: value }, false)
      return {
        name: `${value}`,
        run: () =>
          quantizer.quantizeLayer(problem, { radius: { rule: 'max' }, measure: false, form: 'gram' }),
        seconds: (result: unknown) => (result as { seconds: number }).seconds,
      }
    })
    const times = await interleave(cases, repetitions)
    rows.push(
      growthRow(
        `${axis} from ${base[axis]} (Gram form)`,
        values,
        values.map((value) => times.get(`${value}`)!.min),
      ),
    )
  }
  await quantizer.close()

  const runner = await createOrtWebRunner({ threads })
  const depths = Array.from({ length: doublings + 1 }, (_, i) => 4 * 2 ** i)
  const next = uniform(3)
  const feeds: Feeds[] = Array.from({ length: 4 }, () => ({
    x: { type: 'float32', dims: [64, 64], data: Float32Array.from({ length: 64 * 64 }, next) },
  }))
  const cases = depths.map((depth) => {
    const bytes = encodeModel(denseChain(depth, 64))
    return { name: `${depth}`, run: () => quantizeModel(bytes, { calibration: feeds, runner, threads }) }
  })
  const times = await interleave(cases, repetitions)
  rows.push(
    growthRow(
      'depth of a chain from 4 layers (whole model)',
      depths,
      depths.map((depth) => times.get(`${depth}`)!.min),
    ),
  )
  return table(
    '(e) Growth: seconds (min) when doubled, fitted exponent',
    ['doubled', 'values', 'seconds', 'exponent'],
    rows,
  )
}

const growthRow = (
  name: string,
  values: readonly number[],
  seconds: readonly number[],
): Record<string, string> => ({
  doubled: name,
  values: values.join(', '),
  seconds: seconds.map((s) => s.toFixed(4)).join(', '),
  exponent: exponent(values, seconds).toFixed(2),
})
