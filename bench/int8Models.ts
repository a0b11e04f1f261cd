/**
 * Models for the table of integer speed, each in three files: float, weights of 4 bits, and with activations of 8 bits besides.
 * Weights are rounded to the nearest value, because speed and size do not depend on how codes are chosen.
 */
import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Runner } from '#src/calibration/runner.js'
import { readBytes } from '#src/data/files.js'
import { quantizeModel } from '#src/model/quantizeModel.js'
import { encodeModel } from '#src/onnx/model.js'
import { openModel } from '#src/onnx/openModel.js'
import type { Feeds } from '#src/tensor/tensor.js'
import { calibrationOf, SUBJECTS } from '../scripts/subjects.js'
import { uniform } from './measure.js'
import { encoder, residualNetwork } from './networks.js'

/** A model, and batches for calibration and for timing. */
export interface Source {
  readonly name: string
  readonly bytes: Uint8Array
  /** As many samples as the largest batch. */
  readonly feeds: Feeds
  /** Batches to time. */
  readonly batches: readonly number[]
}

/** The files of a model, and what is in them. */
export interface Int8Model {
  readonly name: string
  readonly floatPath: string
  readonly writtenPath: string
  /** Layers on integers, and all that are quantized. */
  readonly integerLayers: number
  readonly layers: number
  /** Sizes of the files in bytes. */
  readonly floatBytes: number
  readonly weightsBytes: number
  readonly writtenBytes: number
  /** Batches to time. */
  readonly batches: readonly Feeds[]
}

/** Convolutional networks whose single sample takes a few milliseconds: batches show what is left without fixed costs. */
const SMALL: ReadonlySet<string> = new Set(['resnet20', 'gpfq-cnn', 'mobilenet'])

const assets = join('..', 'shared', 'assets')

/** Writes the files of all models into a folder, one model at a time. */
export async function* prepareModels(
  folder: string,
  runner: Runner,
  short: boolean,
): AsyncGenerator<Int8Model> {
  for await (const { name, bytes, feeds, batches } of short ? smallSources() : sources()) {
    const stem = join(folder, name.replace(/\W+/g, '-'))
    const common = {
      runner,
      threads: 2,
      levels: 15,
      format: 'packed',
      method: 'msq',
      radius: { rule: 'max' },
      calibration: [feeds],
      patches: 64,
    } as const
    const weights = await quantizeModel(bytes, common)
    const { model, report } = await quantizeModel(bytes, { ...common, activations: { bits: 8 } })
    const [floatPath, writtenPath] = [`${stem}.onnx`, `${stem}-int8.onnx`]
    await writeFile(floatPath, bytes)
    await writeFile(writtenPath, model)
    yield {
      ...{ name, floatPath, writtenPath },
      integerLayers: report.layers.filter(({ kernel }) => kernel === 'int8').length,
      layers: report.layers.length,
      floatBytes: bytes.length,
      weightsBytes: weights.model.length,
      writtenBytes: model.length,
      batches: batches.map((count) => firstSamples(feeds, count)),
    }
  }
}

const smallSources = (): readonly Source[] => [
  made('residual network, 16 to 128 channels, 32²', residualNetwork(32, 16), [3, 32, 32], [1]),
  made('encoder, 1 layer', encoder({ layers: 1, width: 384, heads: 12, tokens: 16 }), [16, 384], [1]),
]

const residual = (side: number): Source =>
  made(`ResNet-18, ${side}²`, residualNetwork(side), [3, side, side], [1])

const bert = (): Source =>
  made(
    'encoder, 6 layers of 384',
    encoder({ layers: 6, width: 384, heads: 12, tokens: 128 }),
    [128, 384],
    [1],
  )

/** A convolutional network and a transformer with random weights. */
export const bigSources = (short: boolean): readonly Source[] =>
  short ? smallSources() : [residual(112), bert()]

async function* sources(): AsyncGenerator<Source> {
  yield* [residual(112), residual(224), bert()]
  if (!existsSync(assets)) return
  for (const subject of SUBJECTS) {
    const bytes = await readBytes(join(assets, subject.model))
    const { inputs } = await openModel(bytes)
    for await (const feeds of await calibrationOf(assets, subject, inputs, 8))
      yield { name: subject.name, bytes, feeds, batches: SMALL.has(subject.name) ? [1, 8] : [1] }
  }
}

function made(
  name: string,
  model: Parameters<typeof encodeModel>[0],
  dims: readonly number[],
  batches: readonly number[],
): Source {
  const next = uniform(3)
  const samples = Math.max(...batches)
  const size = dims.reduce((product, length) => product * length, samples)
  const data = Float32Array.from({ length: size }, () => 4 * next() - 2)
  const feeds: Feeds = { x: { type: 'float32', dims: [samples, ...dims], data } }
  return { name, bytes: encodeModel(model), feeds, batches }
}

const firstSamples = (feeds: Feeds, count: number): Feeds =>
  Object.fromEntries(
    Object.entries(feeds).map(([name, { type, dims, data }]) => {
      const [samples = 1, ...rest] = dims
      return [name, { type, dims: [count, ...rest], data: data.slice(0, (data.length / samples) * count) }]
    }),
  )
