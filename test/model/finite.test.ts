/** Networks that compute NaN or infinity are refused, and it is said whether the samples, a constant or the model is at fault. */

import { writeFileSync } from 'node:fs'
import type { ModelProto } from 'onnx-buf'
import { beforeAll, describe, expect, it } from 'vitest'
import { createOrtWebRunner } from '#src/calibration/onnxRuntime.js'
import type { Runner } from '#src/calibration/runner.js'
import { formatNpy } from '#src/data/npy.js'
import { compareModels } from '#src/model/compare.js'
import { planModel, quantizeModel } from '#src/model/quantizeModel.js'
import { encodeModel } from '#src/onnx/model.js'
import { gpfq, temporaryFolder } from '../cli/run.js'
import * as b from '../onnx/build.js'

let runner: Runner
beforeAll(async () => {
  runner = await createOrtWebRunner({ threads: 1 })
})

const ROWS = 40
const samples = (values: Float32Array = b.noise(8 * ROWS, 3)) => [
  { x: { type: 'float32' as const, dims: [ROWS, 8], data: values } },
]

/** x → two layers → y, with `change` to the tensors. */
function net(
  change: { readonly w2?: number; readonly bias?: number; readonly tail?: 'Log' | 'mask' } = {},
): ModelProto {
  const w2 = b.noise(12 * 5, 2)
  if (change.w2 !== undefined) w2[7] = change.w2
  const bias = b.noise(5, 4)
  if (change.bias !== undefined) bias[1] = change.bias
  const tail =
    change.tail === 'Log'
      ? [b.node('Log', ['s'], ['y'])]
      : change.tail === 'mask'
        ? [b.node('Add', ['s', 'mask'], ['y'])]
        : [b.node('Identity', ['s'], ['y'])]
  return b.model(
    [
      b.node('MatMul', ['x', 'w1'], ['h'], {}, 'first'),
      b.node('Relu', ['h'], ['r'], {}, 'relu'),
      b.node('MatMul', ['r', 'w2'], ['m'], {}, 'second'),
      b.node('Add', ['m', 'bias'], ['s'], {}, 'add'),
      ...tail,
    ],
    [
      b.noisy('w1', [8, 12], 1),
      b.floats('w2', [12, 5], w2),
      b.floats('bias', [5], bias),
      b.floats('mask', [5], [0, Number.NEGATIVE_INFINITY, 0, 0, Number.NEGATIVE_INFINITY]),
    ],
    [b.value('x', b.DataType.FLOAT, ['n', 8])],
    ['y'],
  )
}

const quantize = (model: ModelProto, calibration = samples()) =>
  quantizeModel(encodeModel(model), { calibration, runner, threads: 1, holdout: 0 })

describe('quantizeModel', () => {
  it.each([
    ['a weight', { w2: Number.NaN }, "its constant 'w2' has values that are not finite"],
    ['a bias', { bias: Number.POSITIVE_INFINITY }, "its constant 'bias' has values that are not finite"],
    ['a logarithm', { tail: 'Log' as const }, 'look at the model and its samples'],
  ])('refuses a float model that gives no finite values for %s', async (_, change, hint) => {
    await expect(quantize(net(change))).rejects.toMatchObject({
      code: 'INVALID_DATA',
      place: "float model, output 'y'",
      problem: expect.stringMatching(/of 200 values are not finite, before anything is quantized/),
      hint: expect.stringContaining(hint),
    })
  })

  it('names the samples where those are at fault', async () => {
    const values = b.noise(8 * ROWS, 3)
    values[9] = Number.NaN
    await expect(quantize(net(), samples(values))).rejects.toMatchObject({
      code: 'INVALID_DATA',
      place: "tensor 'x'",
      got: 'NaN or infinity, in the samples',
    })
  })

  it('accepts outputs that are masked with minus infinity, and checks the rest', async () => {
    const { report } = await quantize(net({ tail: 'mask' }))
    expect(report.layers).toHaveLength(2)
  })

  it('refuses a written model that does not compute finite values', async () => {
    let loads = 0
    const whole = await planModel(encodeModel(net()), {})
    expect(whole.layers).toHaveLength(2)
    // The written model is the last one that is loaded and the only one with a metadata entry.
    const spoiled: Runner = {
      name: runner.name,
      async load(model) {
        loads++
        const session = await runner.load(model)
        const isWritten = Buffer.from(model).includes('gpfq')
        return {
          ...session,
          inputs: session.inputs,
          outputs: session.outputs,
          close: () => session.close(),
          async run(feeds, fetches) {
            const outputs = await session.run(feeds, fetches)
            const y = outputs.y
            if (isWritten && y?.data instanceof Float32Array) y.data.fill(Number.NaN)
            return outputs
          },
        }
      },
    }
    await expect(
      quantizeModel(encodeModel(net()), { calibration: samples(), runner: spoiled, threads: 1, holdout: 0 }),
    ).rejects.toMatchObject({
      code: 'VERIFY_FAILED',
      place: "written model, output 'y'",
      got: '200 of 200 that are not',
    })
    expect(loads).toBeGreaterThan(2)
  })
})

describe('compareModels', () => {
  const compare = (float: ModelProto, quantized: ModelProto) =>
    compareModels({
      runner,
      float: encodeModel(float),
      quantized: encodeModel(quantized),
      feeds: samples(),
      samples: ROWS,
    })

  it('never lets a network of NaN agree', async () => {
    const nan = net({ w2: Number.NaN })
    await expect(compare(net(), nan)).rejects.toMatchObject({ place: "quantized model, output 'y'" })
    await expect(compare(nan, net())).rejects.toMatchObject({ place: "float model, output 'y'" })
    await expect(compare(nan, nan)).rejects.toMatchObject({
      code: 'INVALID_DATA',
      problem: expect.stringMatching(/^\d+ of 200 values of a batch are not numbers/),
    })
  })

  it('compares outputs that both mask', async () => {
    const { outputs } = await compare(net({ tail: 'mask' }), net({ tail: 'mask' }))
    expect(outputs).toMatchObject([{ agreement: 1, sqnrDb: null, largestDifference: 0 }])
  })
})

describe('gpfq compare', () => {
  const path = temporaryFolder()

  it('says so and exits with 1', async () => {
    writeFileSync(path('a.onnx'), encodeModel(net()))
    writeFileSync(path('b.onnx'), encodeModel(net({ w2: Number.NaN })))
    writeFileSync(path('x.npy'), formatNpy(samples()[0]!.x))
    const { code, stdout, stderr } = await gpfq([
      'compare',
      path('a.onnx'),
      path('b.onnx'),
      '--data',
      path('x.npy'),
    ])
    expect(code).toBe(1)
    expect(stdout).toBe('')
    expect(stderr).toMatch(
      /error: quantized model, output 'y': \d+ of \d+ values of a batch are not numbers \(NaN\)/,
    )
  })
})
