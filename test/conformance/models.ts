/**
 * The whole models that every runtime quantizes, with the runner that it brings along: the demo's digits, and networks whose
 * activations are rounded to 8 bits as well, in every form and with every rule of ranges. What comes back is the bytes of the
 * written models.
 */
import { createQuantizer } from 'gpfq'
import { type ActivationOptions, type Feeds, type Format, quantizeModel, type Runner } from 'gpfq/onnx'
import { reals } from '../random.js'

/** Stems of the models' files. */
export const MODELS = ['digits', 'residual', 'attention'] as const

export type ModelName = (typeof MODELS)[number]

/** What the runtime's entry brings along: files, and what runs models. */
export interface Subject {
  readonly models: Readonly<Record<ModelName, Uint8Array>>
  /** Digits, uint8 (images, 28, 28). */
  readonly images: Uint8Array
  readonly runner: Runner
}

interface ModelCase {
  readonly name: string
  readonly model: ModelName
  readonly options: {
    readonly activations?: ActivationOptions
    readonly format?: Format
    /** Samples that judge the layers; 0 if left out. */
    readonly holdout?: number
  }
  /** Layers that run on integers, by their ranges. */
  readonly integers: { readonly static: number; readonly dynamic: number }
}

/** The networks are so small that few of their layers would run on integers unasked. */
const ALL = [{ pattern: '*', kernel: 'int8' }] as const

const CASES: readonly ModelCase[] = [
  { name: 'digits.onnx', model: 'digits', options: {}, integers: { static: 0, dynamic: 0 } },
  {
    name: 'attention, few samples to calibrate on, judged on the others',
    model: 'attention',
    options: { holdout: 76 },
    integers: { static: 0, dynamic: 0 },
  },
  ...(['minmax', 'mse', 'search'] as const).map(
    (rule): ModelCase => ({
      name: `convolutions on integers, ranges by ${rule}`,
      model: 'residual',
      options: { activations: { bits: 8, ranges: { rule } } },
      integers: { static: 3, dynamic: 0 },
    }),
  ),
  {
    name: 'attention on integers, ranges at hand',
    model: 'attention',
    options: { activations: { bits: 8, for: ALL } },
    integers: { static: 0, dynamic: 6 },
  },
  ...(['minmax', 'mse'] as const).map(
    (rule): ModelCase => ({
      name: `attention on integers, qdq, ranges by ${rule}`,
      model: 'attention',
      options: { activations: { bits: 8, for: ALL, ranges: { rule } }, format: 'qdq' },
      integers: { static: 6, dynamic: 0 },
    }),
  ),
]

/** Quantizes every model and hands over the bytes that are written. */
export async function quantizeModels(
  { models, images, runner }: Subject,
  threads: number,
  visit: (name: string, written: Uint8Array) => Promise<void>,
): Promise<void> {
  const calibration: Readonly<Record<ModelName, readonly Feeds[]>> = {
    digits: digits(images),
    residual: samples([3, 10, 10], 700),
    attention: samples([6, 32], 800),
  }
  // One quantizer for all: runtimes free the memories of others late, and can have only so many.
  const quantizer = await createQuantizer({ threads })
  try {
    for (const { name, model, options, integers } of CASES) {
      const result = await quantizeModel(models[model], {
        holdout: 0,
        ...options,
        ...{ runner, quantizer, calibration: calibration[model] },
      })
      for (const kind of ['static', 'dynamic'] as const) {
        const found = result.report.layers.filter(({ ranges }) => ranges === kind).length
        if (found !== integers[kind])
          throw new Error(`${name}: expected ${integers[kind]} layers with ${kind} ranges, got ${found}`)
      }
      await visit(name, result.model)
    }
  } finally {
    await quantizer.close()
  }
}

/** Digits in batches of 16. */
function digits(images: Uint8Array): readonly Feeds[] {
  const batches: Feeds[] = []
  for (let at = 0; at < images.length; at += 16 * 784) {
    const data = Float32Array.from(images.subarray(at, at + 16 * 784), (pixel) => pixel / 255)
    batches.push({ image: { type: 'float32', dims: [data.length / 784, 1, 28, 28], data } })
  }
  return batches
}

/** Bell-shaped samples in two batches: so many values that rules find different ranges. */
function samples(dims: readonly number[], seed: number): readonly Feeds[] {
  return [seed, seed + 1].map((own) => {
    const batch = [40, ...dims]
    const data = reals(
      batch.reduce((product, dim) => product * dim, 1),
      own,
    )
    return { x: { type: 'float32', dims: batch, data } }
  })
}
