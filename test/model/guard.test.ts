/**
 * The guard and what a run says of samples that are kept out. The judge is independent: the written model in ONNX Runtime, and
 * outputs of rows in float64.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createOrtWebRunner } from '#src/calibration/onnxRuntime.js'
import type { Runner } from '#src/calibration/runner.js'
import { quantizeModel } from '#src/model/quantizeModel.js'
import { encodeModel } from '#src/onnx/model.js'
import type { PlanModelOptions, RunOptions } from '#src/options.js'
import { createQuantizer, type Quantizer } from '#src/quantizer.js'
import type { Feeds, Tensor } from '#src/tensor/tensor.js'
import * as b from '../onnx/build.js'
import { reals } from '../random.js'

let runner: Runner
let quantizer: Quantizer
beforeAll(async () => {
  runner = await createOrtWebRunner({ threads: 1 })
  quantizer = await createQuantizer({ threads: 2 })
})
afterAll(() => quantizer.close())

const INPUTS = 48
const NEURONS = 20

/** One dense layer: its outputs on a sample are what the guard judges. */
const model = encodeModel(
  b.model(
    [b.node('MatMul', ['x', 'w'], ['y'], {}, 'layer')],
    [b.noisy('w', [INPUTS, NEURONS], 1)],
    [b.value('x', b.DataType.FLOAT, ['n', INPUTS])],
    ['y'],
  ),
)

/** Rows of few directions and a little noise, as activations are. */
function correlated(rows: number, seed: number, scale: (input: number) => number = () => 1): Float32Array {
  const [few, mix, noise] = [reals(rows * 6, seed), reals(6 * INPUTS, 1), reals(rows * INPUTS, seed + 1)]
  return Float32Array.from({ length: rows * INPUTS }, (_, i) => {
    const [row, input] = [Math.floor(i / INPUTS), i % INPUTS]
    let value = 0.6 * noise[i]!
    for (let k = 0; k < 6; k++) value += few[row * 6 + k]! * mix[k * INPUTS + input]!
    return scale(input) * value
  })
}

function batchesOf(values: Float32Array, size: number): Feeds[] {
  const rows = values.length / INPUTS
  return Array.from({ length: Math.ceil(rows / size) }, (_, i) => {
    const data = values.slice(i * size * INPUTS, (i + 1) * size * INPUTS)
    return { x: { type: 'float32', dims: [data.length / INPUTS, INPUTS], data } satisfies Tensor }
  })
}

type Options = PlanModelOptions & Pick<RunOptions, 'test'>

const quantize = (values: Float32Array, options: Options = {}, size = 32) =>
  quantizeModel(model, { calibration: batchesOf(values, size), runner, quantizer, ...options })

async function outputs(bytes: Uint8Array, values: Float32Array): Promise<Float32Array> {
  const session = await runner.load(bytes)
  const rows = values.length / INPUTS
  const { y } = await session.run({ x: { type: 'float32', dims: [rows, INPUTS], data: values } })
  await session.close()
  return Float32Array.from(y!.data, Number)
}

/** Mean over rows of ‖e‖/‖y‖, and the signal-to-noise ratio over all. */
async function lossOf(bytes: Uint8Array, values: Float32Array) {
  const [y, z] = [await outputs(model, values), await outputs(bytes, values)]
  const rows = y.length / NEURONS
  let [mean, signal2, error2] = [0, 0, 0]
  for (let row = 0; row < rows; row++) {
    let [s, e] = [0, 0]
    for (let i = row * NEURONS; i < (row + 1) * NEURONS; i++) {
      s += y[i]! ** 2
      e += (y[i]! - z[i]!) ** 2
    }
    mean += Math.min(1, Math.sqrt(e / s)) / rows
    signal2 += s
    error2 += e
  }
  return { mean, sqnrDb: 10 * Math.log10(signal2 / error2) }
}

/** Rows whose number a holdout of 8 among `rows` picks, as splitSamples says. */
const heldOutRows = (values: Float32Array, count: number): Float32Array => {
  const rows = values.length / INPUTS
  const out = Array.from({ length: rows }, (_, i) => i).filter(
    (i) => Math.floor(((i + 1) * count) / rows) > Math.floor((i * count) / rows),
  )
  return Float32Array.from(out.flatMap((i) => [...values.subarray(i * INPUTS, (i + 1) * INPUTS)]))
}

const ROUNDING = { method: 'msq', radius: { rule: 'mse' }, holdout: 0 } as const
const fresh = correlated(400, 900)

describe('the guard', () => {
  it('says the errors of the samples kept out as ONNX Runtime gives them, and keeps the least', async () => {
    const values = correlated(40, 3)
    const { model: written, report } = await quantize(values)
    const judged = await lossOf(written, heldOutRows(values, 8))
    const rounded = await quantize(values, ROUNDING)
    const ofRounding = await lossOf(rounded.model, heldOutRows(values, 8))
    const { judgement, samples, heldOutError } = report.layers[0]!
    expect(samples).toBe(32)
    expect(judgement?.errors?.kept).toBeCloseTo(judged.mean, 5)
    expect(judgement?.errors?.rounding).toBeCloseTo(ofRounding.mean, 5)
    expect(judgement?.errors?.kept).toBeLessThanOrEqual(judgement?.errors?.path ?? 0)
    expect(judgement?.errors?.kept).toBeLessThanOrEqual(judgement?.errors?.rounding ?? 0)
    expect(-20 * Math.log10(heldOutError ?? 1)).toBeCloseTo(judged.sqnrDb, 3)
    const [output] = report.heldOut?.outputs ?? []
    expect(report.heldOut?.samples).toBe(8)
    expect(output?.sqnrDb).toBeCloseTo(judged.sqnrDb, 3)
    expect(output?.rounding?.sqnrDb).toBeCloseTo(ofRounding.sqnrDb, 3)
  })

  it('loses less on fresh samples than the plain path where rows are few, and says why', async () => {
    const values = correlated(40, 3)
    const guarded = await quantize(values)
    const plain = await quantize(values, { holdout: 0 })
    const rounded = await quantize(values, ROUNDING)
    const [own, path, rounding] = await Promise.all(
      [guarded, plain, rounded].map(async ({ model: bytes }) => (await lossOf(bytes, fresh)).sqnrDb),
    )
    expect(own).toBeGreaterThan(path!)
    expect(own).toBeGreaterThan(rounding! - 0.2)
    const { judgement } = guarded.report.layers[0]!
    expect(judgement).toMatchObject({ kept: 'damped path', reasons: ['few rows'] })
    expect(guarded.report.notes).toContainEqual(
      expect.objectContaining({ code: 'PATH_DAMPED', place: "layer 'layer'" }),
    )
    expect(plain.report.layers[0]).toMatchObject({ judgement: null, heldOutError: null })
    expect(plain.report.heldOut).toBeNull()
  })

  it('chooses the damping of a wide layer on some of its neurons, and says the errors of all', async () => {
    const wide = encodeModel(
      b.model(
        [b.node('MatMul', ['x', 'w'], ['y'], {}, 'layer')],
        [b.noisy('w', [INPUTS, 300], 1)],
        [b.value('x', b.DataType.FLOAT, ['n', INPUTS])],
        ['y'],
      ),
    )
    const run = { calibration: batchesOf(correlated(40, 3), 32), runner, quantizer }
    const { report } = await quantizeModel(wide, run)
    const { judgement } = report.layers[0]!
    expect(judgement).toMatchObject({ kept: 'damped path', reasons: ['few rows'] })
    expect(judgement!.errors!.kept).toBeLessThan(judgement!.errors!.path)
    expect(judgement!.errors!.kept).toBeLessThan(judgement!.errors!.rounding)
    const errors = await Promise.all(
      [0.01, 0.1, 1, 10].map(async (damping) => {
        const { report } = await quantizeModel(wide, { ...run, damping })
        return report.layers[0]!.judgement!.errors!.path
      }),
    )
    expect(judgement!.errors!.kept).toBeCloseTo(Math.min(...errors), 5)
  })

  it.each([1, 2, 3])(
    'stays within .2 dB of rounding with %i samples, of which none can be kept out',
    async (rows) => {
      const own = await quantize(correlated(rows, 5))
      const rounded = await quantize(correlated(rows, 5), ROUNDING)
      const losses = [await lossOf(own.model, fresh), await lossOf(rounded.model, fresh)]
      expect(losses[0]!.sqnrDb).toBeGreaterThan(losses[1]!.sqnrDb - 0.2)
      expect(own.report.layers[0]!.judgement).toMatchObject({ kept: 'damped path', errors: null })
    },
  )

  it('counts equal samples once, and samples of one value not at all', async () => {
    const one = correlated(1, 5)
    const repeated = Float32Array.from({ length: 64 * INPUTS }, (_, i) => one[i % INPUTS]!)
    const equal = await quantize(repeated)
    expect(equal.report.layers[0]!.judgement).toMatchObject({
      kept: 'damped path',
      damping: 0.1 * INPUTS ** 2,
    })
    expect(equal.report.notes).toContainEqual(expect.objectContaining({ code: 'SAMPLES_ALIKE' }))
    const ones = await quantize(new Float32Array(64 * INPUTS).fill(1))
    expect(ones.report.layers[0]!.judgement).toMatchObject({ damping: 0.1 * INPUTS ** 2 })
    expect((await lossOf(ones.model, fresh)).sqnrDb).toBeGreaterThan(
      (await lossOf((await quantize(repeated, ROUNDING)).model, fresh)).sqnrDb - 0.2,
    )
  })

  it('keeps what the other inputs carry where one dominates', async () => {
    const loud = (input: number): number => (input === 7 ? 900 : 1)
    const values = correlated(512, 3, loud)
    const others = correlated(400, 900, (input) => (input === 7 ? 0 : 1))
    const all = correlated(400, 900, loud)
    const [guarded, plain, rounded] = await Promise.all([
      quantize(values),
      quantize(values, { holdout: 0 }),
      quantize(values, ROUNDING),
    ])
    const on = (x: Float32Array) =>
      Promise.all([guarded, plain, rounded].map(async ({ model: bytes }) => (await lossOf(bytes, x)).sqnrDb))
    const [ownAll, , roundingAll] = await on(all)
    const [ownOthers, pathOthers] = await on(others)
    expect(ownAll).toBeGreaterThan(roundingAll!)
    expect(ownOthers).toBeGreaterThan(pathOthers! + 3)
    expect(guarded.report.layers[0]!.judgement?.reasons).toContain('dominating inputs')
  })

  it('leaves the path alone where rows are many: the bytes of the same samples without judging', async () => {
    const values = correlated(1024, 3)
    const guarded = await quantize(values)
    expect(guarded.report.layers[0]!.judgement).toMatchObject({ kept: 'path', damping: 0, reasons: [] })
    const kept = Array.from({ length: 1024 }, (_, i) => i).filter((i) => i % 8 !== 7)
    const own = Float32Array.from(kept.flatMap((i) => [...values.subarray(i * INPUTS, (i + 1) * INPUTS)]))
    const plain = await quantize(own, { holdout: 0 })
    expect(guarded.model).toEqual(plain.model)
  })

  it('judges on test data instead, and then calibrates on all samples', async () => {
    const [values, other] = [correlated(40, 3), correlated(24, 77)]
    const { model: written, report } = await quantize(values, { test: batchesOf(other, 10) })
    expect(report.layers[0]!.samples).toBe(40)
    expect(report.heldOut?.samples).toBe(24)
    expect(report.heldOut?.outputs[0]?.sqnrDb).toBeCloseTo((await lossOf(written, other)).sqnrDb, 3)
    await expect(quantize(values, { test: batchesOf(other, 10), holdout: 4 })).rejects.toThrow(
      'holdout: expected none together with test',
    )
    await expect(quantize(values, { test: [] })).rejects.toThrow('test: expected at least one sample')
  })

  it.each([1, 7, 40])('gives the same bytes in batches of %i', async (size) => {
    const values = correlated(40, 3)
    const [one, other] = [await quantize(values), await quantize(values, {}, size)]
    expect(other.model).toEqual(one.model)
    expect(other.report.layers[0]!.judgement).toEqual(one.report.layers[0]!.judgement)
  })
})
