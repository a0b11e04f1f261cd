/**
 * Outputs that jump: a network that keeps only what is equal to its own maximum flips by the last bits, and graph optimizations
 * of the runtime change these bits. Such a file is written, with a note; a file that is wrong still is not.
 */
import { describe, expect, it } from 'vitest'
import { createOrtWebRunner } from '#src/calibration/onnxRuntime.js'
import type { Runner, RunnerSession } from '#src/calibration/runner.js'
import { quantizeModel } from '#src/model/quantizeModel.js'
import { encodeModel } from '#src/onnx/model.js'
import type { Tensor } from '#src/tensor/tensor.js'
import * as b from '../onnx/build.js'

const model = encodeModel(
  b.model(
    [b.node('MatMul', ['x', 'v'], ['h'], {}, 'first'), b.node('MatMul', ['h', 'w'], ['y'], {}, 'second')],
    [b.noisy('v', [6, 6], 3), b.noisy('w', [6, 5], 1)],
    [b.value('x', b.DataType.FLOAT, ['n', 6])],
    ['y'],
  ),
)
const calibration = [{ x: { type: 'float32', dims: [16, 6], data: b.noise(96, 2) } satisfies Tensor }]

/** ONNX Runtime, but that one value of whole models is other by so much: with optimizations, and without. */
async function flipping(optimized: number, plain: number): Promise<Runner> {
  const inner = await createOrtWebRunner({ threads: 1 })
  const whole = ({ inputs, outputs }: RunnerSession): boolean =>
    outputs.includes('y') && inputs.some(({ name }) => name === 'x')
  return {
    name: 'flipping',
    async load(bytes, options) {
      const session = await inner.load(bytes, options)
      const by = options?.optimized === false ? plain : optimized
      return {
        ...session,
        async run(feeds, fetches) {
          const outputs = await session.run(feeds, fetches)
          const { y } = outputs
          if (whole(session) && y !== undefined) y.data[0] = Number(y.data[0]) + by
          return outputs
        },
      }
    },
  }
}

const quantize = async (runner: Runner) =>
  quantizeModel(model, { calibration, runner, threads: 1, holdout: 0, levels: 7 })

describe('the last check', () => {
  it('reports what it found of an output', async () => {
    const { report } = await quantize(await createOrtWebRunner({ threads: 1 }))
    expect(report.verified).toEqual([
      { output: 'y', difference: expect.any(Number), unit: 'relative', tolerance: 1e-4, jump: null },
    ])
    expect(report.verified[0]?.difference).toBeLessThan(1e-6)
  })

  it('gives the file of an output that optimizations change too, with both numbers in a note', async () => {
    const { model: written, report } = await quantize(await flipping(0.5, 0))
    expect(written.length).toBeGreaterThan(0)
    expect(report.verified[0]?.difference).toBeGreaterThan(1e-3)
    expect(report.verified[0]?.jump).toBeGreaterThan(1e-3)
    expect(report.notes).toContainEqual(
      expect.objectContaining({ code: 'OUTPUT_JUMPS', place: "output 'y'" }),
    )
  })

  it('refuses a file that differs where optimizations change nothing', async () => {
    await expect(quantize(await flipping(0.5, 0.5))).rejects.toMatchObject({ code: 'VERIFY_FAILED' })
  })

  it('loads without optimizations where that is asked for', async () => {
    const runner = await createOrtWebRunner({ threads: 1 })
    const session = await runner.load(model, { optimized: false })
    expect((await session.run(calibration[0]!)).y?.dims).toEqual([16, 5])
    await session.close()
  })
})
