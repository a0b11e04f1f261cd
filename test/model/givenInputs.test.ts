/** Inputs that always have one value: an If that follows from them is replaced by the branch that runs. */
import { beforeAll, describe, expect, it } from 'vitest'
import { createOrtWebRunner } from '#src/calibration/onnxRuntime.js'
import type { Runner } from '#src/calibration/runner.js'
import { planModel, quantizeModel, quantizePlanned } from '#src/model/quantizeModel.js'
import { describeNote } from '#src/notes.js'
import { encodeModel } from '#src/onnx/model.js'
import { openModel } from '#src/onnx/openModel.js'
import type { Feeds } from '#src/tensor/tensor.js'
import * as b from '../onnx/build.js'
import { feedOf, outputsOf } from './feeds.js'

let runner: Runner
beforeAll(async () => {
  runner = await createOrtWebRunner({ threads: 1 })
})

describe('inputs that always have one value', () => {
  const branch = (weight: string) =>
    b.graph([b.node('MatMul', ['x', weight], ['m'], {}, 'dense')], [b.noisy(weight, [6, 4], 70)], [], ['m'])
  const model = b.model(
    [
      b.node('Equal', ['sr', 'rate'], ['c']),
      b.node('If', ['c'], ['y'], { then_branch: branch('w16'), else_branch: branch('w8') }, 'if'),
    ],
    [b.ints('rate', [], [16000])],
    [b.value('x', b.DataType.FLOAT, ['n', 6]), b.value('sr', b.DataType.INT64, [])],
    ['y'],
  )
  const sr: Feeds[string] = { type: 'int64', dims: [], data: BigInt64Array.of(8000n) }

  it('choose a branch, which is then calibrated; the plan is JSON and says so', async () => {
    const source = await openModel(encodeModel(model))
    const plan = await planModel(source, { inputs: { sr }, holdout: 0 })
    expect(plan.layers.map(({ weight, rounded }) => [weight, rounded])).toEqual([['w8', null]])
    expect(plan.notes.map(describeNote)).toEqual([
      "If 'if': the written model holds its else branch only, which runs with sr = 8000",
    ])
    const calibration = [{ x: feedOf([9, 6], 71) }]
    const options = { calibration, runner, holdout: 0 }
    const { model: written, report } = await quantizePlanned(
      source,
      JSON.parse(JSON.stringify(plan)),
      options,
    )
    expect(report.layers[0]!.samples).toBe(9)
    const { model: same } = await quantizeModel(encodeModel(model), { inputs: { sr }, ...options })
    expect(same).toEqual(written)
    // The branch as a model of its own has the same codes.
    const alone = b.model(
      [b.node('MatMul', ['x', 'w8'], ['y'], {}, 'dense')],
      [b.noisy('w8', [6, 4], 70)],
      [b.value('x', b.DataType.FLOAT, ['n', 6])],
      ['y'],
    )
    const { model: expected } = await quantizeModel(encodeModel(alone), options)
    const x = { x: feedOf([5, 6], 72) }
    expect(await outputsOf(written, { ...x, sr })).toEqual(await outputsOf(expected, x))
  })

  it('must be inputs of the model, fit it, and agree with the batches', async () => {
    const bytes = encodeModel(model)
    await expect(planModel(bytes, { inputs: { rate: sr } })).rejects.toThrow(
      "inputs: expected an input of the model (x, sr), got 'rate'",
    )
    const float: Feeds[string] = { type: 'float32', dims: [], data: Float32Array.of(8000) }
    await expect(planModel(bytes, { inputs: { sr: float } })).rejects.toThrow(
      /inputs: expected .*int64.*'sr'/,
    )
    const other: Feeds[string] = { ...sr, data: BigInt64Array.of(16000n) }
    const calibration = [{ x: feedOf([9, 6], 71), sr: other }]
    await expect(quantizeModel(bytes, { inputs: { sr }, calibration, runner })).rejects.toThrow(
      /batch 1: expected the value of input 'sr' that the model was planned with/,
    )
  })
})
