/** Weights at the ends of float32 get the codes of the same weights at an ordinary size, and scales that are theirs. */
import { beforeAll, expect, it } from 'vitest'
import { createOrtWebRunner } from '#src/calibration/onnxRuntime.js'
import type { Runner } from '#src/calibration/runner.js'
import { quantizeModel } from '#src/model/quantizeModel.js'
import { unitFor } from '#src/model/requests.js'
import { encodeModel } from '#src/onnx/model.js'
import type { PlanModelOptions } from '../../src/options.js'
import * as b from '../onnx/build.js'

let runner: Runner
beforeAll(async () => {
  runner = await createOrtWebRunner({ threads: 1 })
})

async function reportOf(size: number, options: PlanModelOptions) {
  const values = b.noise(16 * 200, 1).map((value) => value * size)
  const model = b.model(
    [b.node('MatMul', ['x', 'w'], ['y'], {}, 'm')],
    [b.floats('w', [16, 200], values)],
    [b.value('x', b.DataType.FLOAT, ['n', 16])],
    ['y'],
  )
  const x = { type: 'float32' as const, dims: [40, 16], data: b.noise(640, 3) }
  const { report } = await quantizeModel(encodeModel(model), {
    ...options,
    ...{ calibration: [{ x }], runner, threads: 1 },
  })
  return report.layers[0]!
}

/** A radius that is given is larger. */
const LEAST_RADIUS = 2 ** -98
const fixed = (size: number): PlanModelOptions => ({
  scalePer: 'layer',
  radius: { rule: 'value', value: 0.8 * size },
})

it.each([2 ** -118, 2 ** -100, 2 ** -62, 2 ** 62, 2 ** 100, 2 ** 120])('%d', async (size) => {
  const means: PlanModelOptions = { method: 'gptq', biasCorrection: true }
  const byRule: readonly (readonly [PlanModelOptions, PlanModelOptions])[] = [
    [{}, {}],
    [means, means],
    ...(size > LEAST_RADIUS ? [[fixed(1), fixed(size)] as const] : []),
  ]
  for (const [ordinary, extreme] of byRule) {
    const [one, other] = [await reportOf(1, ordinary), await reportOf(size, extreme)]
    expect(other.zeros).toBe(one.zeros)
    expect(other.weights!.counts).toEqual(one.weights!.counts)
    expect(Math.abs(other.relativeError! - one.relativeError!)).toBeLessThan(1e-4 * one.relativeError!)
  }
})

it('changes nothing of weights of an ordinary size', () => {
  expect([1, 1e-18, 1e18, 3, 0].map(unitFor)).toEqual([1, 1, 1, 1, 1])
  expect(unitFor(2 ** 100)).toBe(2 ** -100)
  expect(unitFor(2 ** -149)).toBe(2 ** 149)
})
