import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encodeModel } from '#src/onnx/model.js'
import { resolvePads } from '#src/onnx/pads.js'
import type { Sampling } from '../../src/onnx/layer.js'
import * as b from './build.js'

type Patches = Extract<Sampling, { kind: 'patches' }>

describe('resolvePads', () => {
  it('agrees with ONNX Runtime on size and values, for every auto_pad', async () => {
    const two = (max: number, min = 1) => fc.tuple(fc.integer({ min, max }), fc.integer({ min, max }))
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom('NOTSET' as const, 'SAME_UPPER' as const, 'SAME_LOWER' as const, 'VALID' as const),
        two(3),
        two(3),
        two(2),
        fc.tuple(fc.nat(2), fc.nat(2), fc.nat(2), fc.nat(2)),
        two(10, 5),
        async (autoPad, kernel, strides, wanted, pads, [height, width]) => {
          // ONNX Runtime refuses dilations together with SAME_*.
          const dilations: [number, number] = autoPad.startsWith('SAME') ? [1, 1] : wanted
          const sampling: Patches = { kind: 'patches', kernel, strides, dilations, pads, autoPad, groups: 1 }
          const resolved = resolvePads(sampling, height, width)
          const { pads: explicit } = resolved
          const weight = b.floats('w', [1, 1, ...kernel], b.noise(kernel[0] * kernel[1]))
          const attributes = { strides: [...strides], dilations: [...dilations] }
          const model = b.model(
            [
              b.node('Conv', ['x', 'w'], ['auto'], {
                ...attributes,
                auto_pad: autoPad,
                ...(autoPad === 'NOTSET' ? { pads: [...pads] } : {}),
              }),
              b.node('Conv', ['x', 'w'], ['explicit'], { ...attributes, pads: [...explicit] }),
            ],
            [weight],
            ['x'],
            ['auto', 'explicit'],
          )
          const feeds = { x: b.tensor([1, 1, height, width], b.noise(height * width, 3)) }
          const out = await b.run(encodeModel(model), feeds)
          expect(out.auto!.dims).toEqual([1, 1, resolved.outHeight, resolved.outWidth])
          expect(
            b.relativeDifference(out.explicit!.data as Float32Array, out.auto!.data as Float32Array),
          ).toBeLessThan(1e-6)
        },
      ),
      { numRuns: 120, seed: 3 },
    )
  })

  it('refuses an input smaller than the kernel', () => {
    const sampling: Patches = {
      kind: 'patches',
      kernel: [5, 5],
      strides: [1, 1],
      dilations: [1, 1],
      pads: [0, 0, 0, 0],
      autoPad: 'NOTSET',
      groups: 1,
    }
    expect(() => resolvePads(sampling, 4, 9)).toThrow(
      /expected an input of at least the kernel's extent 5,5 .* got 4 × 9/,
    )
  })
})
