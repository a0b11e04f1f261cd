/** Models that take batches of one size only, with layers on integers: the last check and the speed run on a whole batch. */
import { describe, expect, it } from 'vitest'
import { createOrtWebRunner } from '#src/calibration/onnxRuntime.js'
import { quantizeModel } from '#src/model/quantizeModel.js'
import { encodeModel } from '#src/onnx/model.js'
import * as b from '../onnx/build.js'

const BATCH = 4
const INPUTS = 16
const runner = await createOrtWebRunner()

/** Two MatMuls with a Relu between them, x (batch, 3, 16) → y (batch, 3, 8). */
const modelOf = (batch: number | string): Uint8Array =>
  encodeModel(
    b.model(
      [
        b.node('MatMul', ['x', 'w1'], ['m1'], {}, 'm1'),
        b.node('Relu', ['m1'], ['r1']),
        b.node('MatMul', ['r1', 'w2'], ['m2'], {}, 'm2'),
        b.node('Neg', ['m2'], ['y']),
      ],
      [b.noisy('w1', [INPUTS, INPUTS], 3), b.noisy('w2', [INPUTS, 8], 4)],
      [b.value('x', b.DataType.FLOAT, [batch, 3, INPUTS])],
      ['y'],
    ),
  )

const calibration = [5, 6].map((seed) => ({
  x: {
    type: 'float32' as const,
    dims: [BATCH, 3, INPUTS],
    data: b.noise(BATCH * 3 * INPUTS, seed),
  },
}))

describe.each([
  ['dynamic', 'auto'],
  ['static', 'qdq'],
] as const)('%s ranges', (ranges, format) => {
  it.each([
    [BATCH, BATCH],
    ['n', 1],
  ])('a batch of %s: times are those of %i samples', async (batch, samples) => {
    const { report } = await quantizeModel(modelOf(batch), {
      ...{ runner, calibration, format, threads: 1 },
      activations: { bits: 8, for: [{ pattern: '*', kernel: 'int8' }] },
    })
    expect(report.layers.map((layer) => layer.ranges)).toEqual([ranges, ranges])
    expect(report.speed?.samples).toBe(samples)
  })
})
