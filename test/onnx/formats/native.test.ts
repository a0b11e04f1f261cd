/**
 * Written models in native ONNX Runtime with the session options that it has by default: it must compute the codes. Its
 * kernels differ from those of the wasm build, which the other tests run. Needs onnxruntime-node, which is not installed with
 * the project: `npm install --no-save onnxruntime-node`.
 */
import { describe, expect, it } from 'vitest'
import { createOrtNodeRunner } from '#src/calibration/onnxRuntime.js'
import type { Runner } from '#src/calibration/runner.js'
import { isDescribed } from '#src/errors.js'
import { encodeModel } from '#src/onnx/model.js'
import { writeQuantized } from '#src/onnx/writeQuantized.js'
import type { Feeds } from '../../../src/tensor/tensor.js'
import * as b from '../build.js'
import { stored, valuesOf } from '../cases.js'
import { entriesOf, everyVariant, FORMATS, feedsOf, modelOf, randomEntries } from '../quantizedModels.js'

const native = await createOrtNodeRunner().catch((error: unknown): null => {
  if (isDescribed(error) && error.code === 'RUNTIME_MISSING') return null
  throw error
})
const title = native === null ? 'native ONNX Runtime (skipped: onnxruntime-node is missing)' : native.name

describe.skipIf(native === null)(title, () => {
  const variants = everyVariant()
  for (const opset of [13, 21, 25])
    it(`computes the quantized values in every format, for every op, at opset ${opset}`, async () => {
      const model = modelOf(variants, opset, ({ case: c }) => b.noise(c.groups * c.inputs * c.neurons))
      const reference = modelOf(variants, opset, (v) => stored(v.case, valuesOf(v.case, v.quantized)))
      const feeds = feedsOf(variants)
      const expected = await b.run(encodeModel(reference), feeds) // in onnxruntime-web
      for (const format of FORMATS) {
        const entries = entriesOf(model, variants, format)
        const got = await runNatively(native!, encodeModel(writeQuantized(model, entries).model), feeds)
        const wrong = entries.flatMap(({ layer: { name } }) => {
          const d = b.relativeDifference(got[name]!, expected[name]!.data as Float32Array)
          return d < 1e-5 ? [] : [`${format} ${name}: ${d}`]
        })
        expect(wrong).toEqual([])
      }
    })

  it('rounds no inputs, so that one far larger than the others costs them nothing', async () => {
    const model = b.model([b.node('MatMul', ['x', 'w'], ['y'])], [b.noisy('w', [33, 5], 3)], ['x'], ['y'], {
      opset: 25,
    })
    const others = b.noise(4 * 33, 8)
    // The large input's weights have the code of zero, so that nothing of it is in the outputs.
    const x = others.map((value, i) => (i % 33 === 7 ? 1000 * value : value))
    for (const levels of [3, 15, 255])
      for (const block of [1000, 16]) {
        const [entry] = randomEntries(model, 'qdq', levels, block)
        entry!.quantized.codes.fill((levels - 1) / 2, 7 * 5, 8 * 5)
        const written = encodeModel(writeQuantized(model, [entry!]).model)
        const expected = await b.run(written, { x: b.tensor([4, 33], others) }) // in onnxruntime-web
        const got = await runNatively(native!, written, { x: b.tensor([4, 33], x) })
        const difference = b.relativeDifference(got.y!, expected.y!.data as Float32Array)
        expect(difference, `${levels} levels in blocks of ${block}`).toBeLessThan(1e-5)
      }
  })
})

async function runNatively(
  runner: Runner,
  model: Uint8Array,
  feeds: Record<string, b.ort.Tensor>,
): Promise<Record<string, Float32Array>> {
  const session = await runner.load(model)
  try {
    const own: Feeds = Object.fromEntries(
      Object.entries(feeds).map(([name, { dims, data }]) => [
        name,
        { type: 'float32', dims: [...dims], data: data as Float32Array },
      ]),
    )
    const outputs = await session.run(own)
    return Object.fromEntries(Object.entries(outputs).map(([name, { data }]) => [name, data as Float32Array]))
  } finally {
    await session.close()
  }
}
