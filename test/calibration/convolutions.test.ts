/** The papers' own ways with convolutions: patches drawn at random (2201.11113), and a path for each channel (2010.15979). */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type GatherRequest, gatherFor } from '#src/calibration/gather.js'
import { createOrtWebRunner } from '#src/calibration/onnxRuntime.js'
import type { Gather } from '#src/methods/samples.js'
import { quantizeModel } from '#src/model/quantizeModel.js'
import { indexGraph } from '#src/onnx/graph.js'
import type { Sampling } from '#src/onnx/layer.js'
import { findLayers, readWeights } from '#src/onnx/layers.js'
import { decodeModel, encodeModel } from '#src/onnx/model.js'
import type { PlanModelOptions } from '#src/options.js'
import { gpfq } from '#src/reference/gpfq.js'
import { patches } from '#src/reference/patches.js'
import * as b from '../onnx/build.js'

describe('random patches', () => {
  const channels = 2
  const geometry = fc.record({
    images: fc.integer({ min: 1, max: 4 }),
    height: fc.integer({ min: 5, max: 12 }),
    width: fc.integer({ min: 5, max: 12 }),
    kernel: fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 })),
    dilations: fc.tuple(fc.integer({ min: 1, max: 2 }), fc.integer({ min: 1, max: 2 })),
  })

  const requestOf = (
    g: Omit<GatherRequest, 'place' | 'sampling' | 'dims' | 'inputs' | 'groups' | 'patches'> & {
      height: number
      width: number
      kernel: readonly [number, number]
      dilations: readonly [number, number]
      batch: number
    },
  ): GatherRequest => {
    const { height, width, kernel, dilations, batch, ...rest } = g
    const sampling: Sampling = {
      ...{ kind: 'patches', kernel, dilations, strides: [2, 1], pads: [0, 0, 0, 0] },
      ...{ autoPad: 'NOTSET', groups: 1 },
    }
    const inputs = channels * kernel[0] * kernel[1]
    return {
      ...rest,
      place: 'conv',
      sampling,
      dims: [batch, channels, height, width],
      inputs,
      groups: 1,
      patches: 0,
    }
  }
  const offsets = ({ rowAt }: Gather): number[] => [...rowAt]

  it('are all patches at strides of the kernel for p = 1, and ⌊pL + 1⌋ of them for less', () => {
    fc.assert(
      fc.property(geometry, fc.double({ min: 0.05, max: 0.95, noNaN: true }), ({ images, ...g }, share) => {
        const common = { ...g, batch: images, images, firstImage: 0 }
        const all = gatherFor(requestOf({ ...common, random: { share: 1, seed: 3 } }))
        // The twin enumerates patches of x = its own offsets, at strides of the kernel.
        const x = Float32Array.from({ length: images * channels * g.height * g.width }, (_, i) => i)
        const twin = patches(x, {
          ...{ batch: images, channels, groups: 1, height: g.height, width: g.width, kernel: g.kernel },
          ...{ strides: g.kernel, dilations: g.dilations, pads: [0, 0, 0, 0] },
        })
        const first = Array.from({ length: twin.rows }, (_, r) => 4 * twin.groups[0]![r * twin.inputs]!)
        expect(offsets(all)).toEqual(first)
        const some = gatherFor(requestOf({ ...common, random: { share, seed: 3 } }))
        expect(some.rows).toBe(images * Math.floor((share * twin.rows) / images + 1))
        expect(offsets(some).every((at) => first.includes(at))).toBe(true)
      }),
      { seed: 131, numRuns: 100 },
    )
  })

  it('depend on the seed and the number of the image, not on how images are cut into batches', () => {
    const common = { height: 20, width: 20, kernel: [2, 2] as const, dilations: [1, 1] as const, images: 6 }
    const draw = (firstImage: number, batch: number, seed: number): number[] =>
      offsets(gatherFor(requestOf({ ...common, firstImage, batch, random: { share: 0.25, seed } })))
    const together = draw(0, 6, 9)
    const perImage = 26
    expect(together).toHaveLength(6 * perImage)
    const imageBytes = 4 * channels * 400
    const cut = [0, 2, 4].flatMap((first) => draw(first, 2, 9).map((at) => at + first * imageBytes))
    expect(cut).toEqual(together)
    expect(draw(0, 6, 10)).not.toEqual(together)
    // With replacement, and spread: 26 of 100 tiles an image hit about 23 different ones.
    const own = Array.from({ length: 6 }, (_, i) => together.slice(i * perImage, (i + 1) * perImage))
    const different = own.map((rows, i) => new Set(rows.map((at) => at - i * imageBytes)).size)
    expect(Math.min(...different)).toBeGreaterThan(16)
    expect(new Set(own.map((rows, i) => rows.map((at) => at - i * imageBytes).join())).size).toBe(6)
  })
})

describe('per channel', () => {
  const [channels, neurons, size, samples] = [3, 5, 7, 9]
  const pads = [1, 1, 1, 1] as [number, number, number, number]
  const weights = b.noise(neurons * channels * 9, 141)
  const bytes = encodeModel(
    b.model(
      [
        b.node('Conv', ['x', 'w'], ['c'], { pads, kernel_shape: [3, 3] }, 'conv'),
        b.node('Relu', ['c'], ['r'], {}, 'relu'),
        b.node('Conv', ['r', 'v'], ['y'], { kernel_shape: [1, 1] }, 'pointwise'),
      ],
      [
        b.floats('w', [neurons, channels, 3, 3], weights),
        b.floats('v', [2, neurons, 1, 1], b.noise(10, 142)),
      ],
      [b.value('x', b.DataType.FLOAT, ['n', channels, size, size])],
      [b.value('y', b.DataType.FLOAT, ['n', 2, size, size])],
    ),
  )
  const x = b.noise(samples * channels * size * size, 143)
  const quantize = async (options: PlanModelOptions) => {
    const runner = await createOrtWebRunner({ threads: 1 })
    const calibration = [{ x: { type: 'float32' as const, dims: [samples, channels, size, size], data: x } }]
    return quantizeModel(bytes, {
      ...{
        calibration,
        runner,
        threads: 2,
        format: 'float',
        levels: 7,
        patches: 0,
        perChannel: true,
        holdout: 0,
      },
      ...options,
    })
  }
  const valuesIn = (model: Uint8Array): Float32Array => {
    const graph = indexGraph(decodeModel(model))
    return readWeights(graph, findLayers(graph).layers[0]!) // (27, 5)
  }

  it('makes every plane of a kernel a path of its own', async () => {
    const { model } = await quantize({ radius: { rule: 'max' } })
    const actual = valuesIn(model)
    const scales = Float32Array.from({ length: neurons }, (_, k) => {
      const own = Array.from(weights.subarray(k * channels * 9, (k + 1) * channels * 9), Math.abs)
      return (2 * Math.max(...own)) / 6
    })
    const geometry = { batch: samples, channels, height: size, width: size, pads, groups: channels }
    const planes = patches(x, { ...geometry, kernel: [3, 3], strides: [1, 1], dilations: [1, 1] })
    let near = 0
    for (let c = 0; c < channels; c++) {
      const own = Float32Array.from({ length: 9 * neurons }, (_, i) => {
        const [tap, k] = [Math.floor(i / neurons), i % neurons]
        return weights[(k * channels + c) * 9 + tap]!
      })
      const twin = gpfq({
        ...{
          weights: own,
          samples: planes.groups[c]!,
          quantizedSamples: planes.groups[c]!,
          rows: planes.rows,
        },
        ...{ inputs: 9, neurons, levels: 7, scales, blockSize: 9, zero: 3 },
      })
      for (let i = 0; i < 9 * neurons; i++) {
        if (twin.margins[i]! < 1e-4) near++
        const expected = scales[i % neurons]! * (twin.codes[i]! - 3)
        expect(actual[c * 9 * neurons + i], `channel ${c}, place ${i}`).toBeCloseTo(expected, 5)
      }
    }
    expect(near).toBeLessThan(3)
  })

  it('is another result than one path through all channels, and keeps one scale a neuron under search', async () => {
    const own = valuesIn((await quantize({})).model)
    const through = valuesIn((await quantize({ perChannel: false })).model)
    expect(own).not.toEqual(through)
    for (let k = 0; k < neurons; k++) {
      const values = Array.from({ length: 27 }, (_, t) => own[t * neurons + k]!)
      const sizes = [...new Set(values.map((v) => Math.abs(v)).filter((v) => v > 0))].sort((p, q) => p - q)
      // Multiples 1, 2, 3 of one step.
      const step = [1, 2, 3]
        .map((n) => sizes[0]! / n)
        .find((s) => sizes.every((v) => Math.abs(v / s - Math.round(v / s)) < 1e-3))
      expect(step).toBeDefined()
      expect(sizes.length).toBeLessThanOrEqual(3)
    }
  })

  it('refuses groups of scales and beacon', async () => {
    await expect(quantize({ scalePer: { group: 9 } })).rejects.toThrow(
      /perChannel: expected scales per layer or neuron/,
    )
    await expect(quantize({ method: 'beacon' })).rejects.toThrow(
      /perChannel: expected a method that is given its scales, got beacon/,
    )
    await expect(quantize({ randomPatches: 0.5 })).rejects.toThrow(
      /randomPatches: expected no patches together with it/,
    )
    await expect(quantize({ seed: 1 })).rejects.toThrow(/seed: expected a method that has it \(spfq\)/)
  })
})
