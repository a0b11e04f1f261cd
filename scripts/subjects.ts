/**
 * The five reference models with their calibration and test data, and the functions that quantize and score one. The
 * models are not part of the project: scripts look for them in ../shared/assets, or in the folder given as the first
 * argument, and report if there are none.
 */
import { existsSync } from 'node:fs'
import { cpus } from 'node:os'
import { join } from 'node:path'
import type { Runner } from '#src/calibration/runner.js'
import { type FeedOptions, type FeedSet, loadFeeds, loadLabels } from '#src/data/feeds.js'
import { openData, readBytes } from '#src/data/files.js'
import { evaluate } from '#src/model/evaluate.js'
import { quantizeModel } from '#src/model/quantizeModel.js'
import { openModel } from '#src/onnx/openModel.js'
import type { PlanModelOptions } from '#src/options.js'
import type { RunnerInput } from '#src/tensor/tensor.js'
import type { Cell } from './cells.js'

export interface Subject {
  readonly name: string
  /** What the model and its data are, for the docs. */
  readonly about: readonly [model: string, data: string]
  readonly model: string
  readonly calibration: string
  readonly calibrationSamples: number
  readonly data: string
  readonly labels: string
  readonly feeds: FeedOptions
}

export const SUBJECTS: readonly Subject[] = [
  {
    name: 'resnet20',
    about: [
      'ResNet-20, weights of akamaster/pytorch_resnet_cifar10',
      'CIFAR-10: first training images, all 10,000 test images',
    ],
    model: 'models/cifar10-resnet20.onnx',
    calibration: 'cifar10/train5k-images.npy.gz',
    calibrationSamples: 1024,
    data: 'cifar10/test-images.npy.gz',
    labels: 'cifar10/test-labels.npy.gz',
    feeds: { scale: 255, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] },
  },
  {
    name: 'gpfq-cnn',
    about: ['the convolutional network of 2010.15979, trained for a few epochs', 'CIFAR-10, likewise'],
    model: 'models/cifar10-gpfq-cnn.onnx',
    calibration: 'cifar10/train5k-images.npy.gz',
    calibrationSamples: 1024,
    data: 'cifar10/test-images.npy.gz',
    labels: 'cifar10/test-labels.npy.gz',
    feeds: { scale: 255 },
  },
  {
    name: 'mnist-mlp',
    about: [
      '784-500-300-10 of 2010.15979, trained for a few epochs',
      'MNIST: first training images, all 10,000 test images',
    ],
    model: 'models/mnist-mlp-500-300-bn.onnx',
    calibration: 'mnist/mnist-train-images-idx3-ubyte.gz',
    calibrationSamples: 5000,
    data: 'mnist/mnist-t10k-images-idx3-ubyte.gz',
    labels: 'mnist/mnist-t10k-labels-idx1-ubyte.gz',
    feeds: { scale: 255 },
  },
  {
    name: 'mobilenet',
    about: [
      'MobileNet v1 0.25, 224 × 224, weights of Keras',
      'ImageNet validation images, 1,000 others to test',
    ],
    model: 'models/imagenet-mobilenetv1-0.25-224.onnx',
    calibration: 'imagenet/calib',
    calibrationSamples: 300,
    data: 'imagenet/eval',
    labels: 'imagenet/eval-labels.npy',
    feeds: { scale: 127.5, mean: [1] },
  },
  {
    name: 'llama',
    about: [
      'stories260K by karpathy: 5 layers, 64 wide, 36 MatMuls',
      'TinyStories: texts of 256 tokens, 320 others to test',
    ],
    model: 'models/tinystories-llama-260k-t256.onnx',
    calibration: 'text/tinystories-calib-tokens.npy.gz',
    calibrationSamples: 320,
    data: 'text/tinystories-eval-tokens.npy.gz',
    labels: 'text/tinystories-eval-next.npy.gz',
    feeds: { batchSize: 8 },
  },
]

export function subjectOf(name: string): Subject {
  const subject = SUBJECTS.find((candidate) => candidate.name === name)
  if (subject === undefined) throw new Error(`subject: expected one of the reference models, got '${name}'`)
  return subject
}

/** The folder of models and data; null, with a message to the user, if there is none. */
export function findAssets(): string | null {
  const assets = process.argv[2] ?? join('..', 'shared', 'assets')
  if (existsSync(assets)) return assets
  console.error(
    `skipped: expected models and data in ${assets}, got no such folder; name one as the first argument`,
  )
  return null
}

export async function measureFloat(assets: string, subject: Subject, runner: Runner): Promise<Cell> {
  const bytes = await readBytes(join(assets, subject.model))
  const value = await score(assets, subject, runner, bytes)
  return { value, bytes: bytes.length, seconds: 0, peakMemoryBytes: 0 }
}

export type Task = PlanModelOptions & {
  /** Calibration samples, other than the subject's usual number. */
  readonly samples?: number
  /** Keep the relative output error of each layer. */
  readonly profile?: boolean
  /** Keep samples out of calibration and judge on them; otherwise methods are compared as they are, on all samples. */
  readonly judged?: boolean
}

/** Quantizes a reference model and scores it on its whole test set. */
export async function measure(
  assets: string,
  subject: Subject,
  runner: Runner,
  { samples = subject.calibrationSamples, profile = false, judged = false, ...options }: Task,
): Promise<Cell> {
  const opened = await openModel(await readBytes(join(assets, subject.model)))
  const calibration = await calibrationOf(assets, subject, opened.inputs, samples)
  const own = judged ? options : { ...options, holdout: 0 }
  const { model, report } = await quantizeModel(opened, { ...own, calibration, runner })
  return {
    value: await score(assets, subject, runner, model),
    bytes: model.length,
    seconds: report.seconds.total,
    peakMemoryBytes: report.peakMemoryBytes,
    ...(profile ? { errors: report.layers.map(({ relativeError }) => relativeError ?? 0) } : {}),
  }
}

const open = async (
  assets: string,
  { feeds }: Subject,
  inputs: readonly RunnerInput[],
  data: string,
  samples?: number,
): Promise<FeedSet> => loadFeeds([await openData(join(assets, data))], inputs, { ...feeds, samples })

/** Calibration samples of a reference model. */
export const calibrationOf = (
  assets: string,
  subject: Subject,
  inputs: readonly RunnerInput[],
  samples: number,
): Promise<FeedSet> => open(assets, subject, inputs, subject.calibration, samples)

/** Top-1 on the whole test set, or perplexity. */
export async function score(
  assets: string,
  subject: Subject,
  runner: Runner,
  model: Uint8Array,
): Promise<number> {
  const feeds = await open(assets, subject, (await openModel(model)).inputs, subject.data)
  const labels = await loadLabels(await openData(join(assets, subject.labels)))
  const result = await evaluate({ runner, model, feeds, samples: feeds.samples, labels })
  return 'top1' in result ? result.top1 : result.perplexity
}

/** The line under a table with the origin of its numbers. It omits threads: cells were measured with one or two. */
export const printedOn = (command: string, runner: string): string =>
  `Printed by \`${command}\` on ${cpus().length} × ${cpus()[0]?.model.trim()}, Node ${process.version}, ${runner.replace(/ \(.*/, '')}.`
