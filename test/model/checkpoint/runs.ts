/** Small runs of every kind for the tests of checkpoints, and stores that fail or count. */
import type { Store } from '#src/model/checkpoint/store.js'
import { encodeModel } from '#src/onnx/model.js'
import type { PlanModelOptions, QuantizeReport } from '#src/options.js'
import type { Feeds } from '#src/tensor/tensor.js'
import * as b from '../../onnx/build.js'
import { feedOf } from '../feeds.js'
import { onIntegers } from '../integerNets.js'

/** A convolution, a depthwise one, a residual branch and two dense layers that read one tensor. */
export const convolutional = (seed = 1): Uint8Array => {
  const pads = [1, 1, 1, 1]
  return encodeModel(
    b.model(
      [
        b.node('Conv', ['x', 'w1', 'b1'], ['c1'], { pads }, 'first conv/é'),
        b.node('Relu', ['c1'], ['r1']),
        b.node('Conv', ['r1', 'w2', 'b2'], ['c2'], { pads, group: 6 }, 'second'),
        b.node('Add', ['c2', 'r1'], ['s']),
        b.node('GlobalAveragePool', ['s'], ['p']),
        b.node('Flatten', ['p'], ['f']),
        b.node('Gemm', ['f', 'w3', 'b3'], ['l'], { transB: 1 }, 'left'),
        b.node('Gemm', ['f', 'w4', 'b3'], ['r'], { transB: 1 }, 'right'),
        b.node('Add', ['l', 'r'], ['y']),
      ],
      [
        b.noisy('w1', [6, 2, 3, 3], seed),
        b.noisy('b1', [6], 2),
        b.noisy('w2', [6, 1, 3, 3], 3),
        b.noisy('b2', [6], 4),
        b.noisy('w3', [5, 6], 5),
        b.noisy('b3', [5], 6),
        b.noisy('w4', [5, 6], 7),
      ],
      [b.value('x', b.DataType.FLOAT, ['n', 2, 6, 6])],
      ['y'],
    ),
  )
}

const dense = (nodes: Parameters<typeof b.model>[0], constants: Parameters<typeof b.model>[1]): Uint8Array =>
  encodeModel(b.model(nodes, constants, [b.value('x', b.DataType.FLOAT, ['n', 8])], ['y']))

/** One weight at two depths, so that the quantized stream is replayed. */
const tied = (): Uint8Array =>
  dense(
    [
      b.node('MatMul', ['x', 'w'], ['h'], {}, 'early'),
      b.node('Relu', ['h'], ['r']),
      b.node('MatMul', ['r', 'w'], ['t'], {}, 'late'),
      b.node('MatMul', ['t', 'v'], ['y'], {}, 'last'),
    ],
    [b.noisy('w', [8, 8], 1), b.noisy('v', [8, 4], 2)],
  )

/** A recurrent layer, whose weights are rounded, between two that are not. */
const recurrent = (): Uint8Array =>
  dense(
    [
      b.node('MatMul', ['x', 'w'], ['h'], {}, 'before'),
      b.node('Unsqueeze', ['h', 'axis'], ['u']),
      b.node('RNN', ['u', 'W', 'R'], ['', 'last'], { hidden_size: 6 }, 'rec'),
      b.node('Squeeze', ['last', 'axis'], ['s']),
      b.node('MatMul', ['s', 'v'], ['y'], {}, 'after'),
    ],
    [
      b.noisy('w', [8, 5], 1),
      b.noisy('W', [1, 6, 5], 2),
      b.noisy('R', [1, 6, 6], 3),
      b.noisy('v', [6, 4], 4),
      b.ints('axis', [1], [0]),
    ],
  )

const images = (sizes: readonly number[], seed = 20): Feeds[] =>
  sizes.map((size, i) => ({ x: feedOf([size, 2, 6, 6], seed + i) }))
const rows = (sizes: readonly number[]): Feeds[] => sizes.map((size, i) => ({ x: feedOf([size, 8], 30 + i) }))

export interface Case {
  readonly name: string
  readonly model: () => Uint8Array
  readonly options: PlanModelOptions
  readonly calibration?: Feeds[]
  readonly layers: number
}

export const IMAGES = images([16, 16, 5])

export const CASES: readonly Case[] = [
  { name: 'weights', model: convolutional, options: {}, calibration: IMAGES, layers: 4 },
  {
    name: 'integers and corrected biases',
    model: convolutional,
    options: { activations: onIntegers({ rule: 'mse' }), biasCorrection: true },
    calibration: IMAGES,
    layers: 4,
  },
  {
    name: 'paths by channel, nothing kept out',
    model: convolutional,
    options: { perChannel: true, holdout: 0, method: 'spfq', levels: 3 },
    calibration: IMAGES,
    layers: 4,
  },
  {
    name: 'mixed precision',
    model: convolutional,
    options: { targetBits: 3 },
    calibration: IMAGES,
    layers: 4,
  },
  {
    name: 'weights tied across depth',
    model: tied,
    options: { levels: 7 },
    calibration: rows([20, 20]),
    layers: 2,
  },
  {
    name: 'rounded weights',
    model: recurrent,
    options: { levels: 7 },
    calibration: rows([20, 20]),
    layers: 4,
  },
  { name: 'frames, without samples', model: convolutional, options: { method: 'frame' }, layers: 4 },
]

/** A store in memory that counts, and that can fail. */
export class MemoryStore implements Store {
  readonly files = new Map<string, Uint8Array>()
  /** Names in the order in which they were set. */
  readonly names: string[] = []
  #left = Number.POSITIVE_INFINITY

  /** After so many more bytes are set, the next time fails; with none it never does. */
  failAfter(sets = Number.POSITIVE_INFINITY): void {
    this.#left = sets
  }

  async get(name: string): Promise<Uint8Array | null> {
    return this.files.get(name)?.slice() ?? null
  }

  async set(name: string, bytes: Uint8Array): Promise<void> {
    if (this.#left-- <= 0) throw new Error('the store is full')
    this.names.push(name)
    this.files.set(name, bytes.slice())
  }
}

/** A report without what differs between two runs: times and memory. */
export function withoutTimes(report: QuantizeReport): object {
  const { seconds: _, peakMemoryBytes: __, processBytes: ___, speed: ____, ...others } = report
  return { ...others, layers: report.layers.map(({ seconds: _, ...layer }) => layer) }
}
