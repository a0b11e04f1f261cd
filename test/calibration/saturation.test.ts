/** Saturating integer kernels are told from exact ones. */
import { expect, it } from 'vitest'
import { createOrtWebRunner } from '#src/calibration/onnxRuntime.js'
import type { Runner } from '#src/calibration/runner.js'
import { saturates } from '#src/calibration/saturation.js'
import type { Tensor } from '#src/tensor/tensor.js'

const runner = await createOrtWebRunner({ threads: 1 })

it('ONNX Runtime Web computes exact sums', async () => {
  expect(await saturates(runner)).toBe(false)
})

/** The sum of 255·w over `count` inputs as pmaddubsw gives it: each pair of products is cut to 16 bits. */
const saturatedSum = (count: number, w: number): number =>
  (count / 2) * Math.min(32767, Math.max(-32768, 2 * 255 * w))

/**
 * Stands in for ONNX Runtime on x86 without VNNI, which tests cannot count on: the wasm build computes, and then the sums
 * of one of the two layers are replaced by those of pmaddubsw.
 */
const saturating = (layer: 'product' | 'convolved'): Runner => ({
  name: 'saturating',
  load: async (model) => {
    const session = await runner.load(model)
    return {
      ...session,
      run: async (feeds, fetches) => {
        const outputs = await session.run(feeds, fetches)
        const { [layer]: exact } = outputs
        if (exact === undefined) throw new Error(`expected an output ${layer}`)
        return { ...outputs, [layer]: layer === 'product' ? saturatedProduct(exact) : saturatedImage(exact) }
      },
    }
  },
})

function saturatedProduct(exact: Tensor): Tensor {
  const data = Int32Array.from(exact.data as Int32Array, (sum) => saturatedSum(64, sum > 0 ? 127 : -128))
  return { ...exact, data }
}

/** Codes 228 and 27 around the zero point 128, 100 steps above and 101 below it. */
function saturatedImage(exact: Tensor): Tensor {
  const step = (144 * 255 * 127) / 100
  const data = Uint8Array.from(exact.data as Uint8Array, (code) =>
    Math.round(128 + saturatedSum(144, code > 128 ? 127 : -128) / step),
  )
  return { ...exact, data }
}

it.each(['product', 'convolved'] as const)('sees saturated sums of %s', async (layer) => {
  expect(await saturates(saturating(layer))).toBe(true)
})

it('closes its session, also if it does not run', async () => {
  let closed = 0
  const counting = (fails: boolean): Runner => ({
    name: 'counting',
    load: async (model) => {
      const session = await runner.load(model)
      return {
        ...session,
        run: (feeds, fetches) =>
          fails ? Promise.reject(new Error('no kernel')) : session.run(feeds, fetches),
        close: () => {
          closed++
          return session.close()
        },
      }
    },
  })
  await saturates(counting(false))
  await expect(saturates(counting(true))).rejects.toThrow('no kernel')
  expect(closed).toBe(2)
})
