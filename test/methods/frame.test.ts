/**
 * Method frame through the public API: the same bytes on any number of threads, its measured error, no samples for a model,
 * and its cost in the report.
 */
import { describe, expect, it } from 'vitest'
import { createOrtWebRunner } from '#src/calibration/onnxRuntime.js'
import { quantizeModel } from '#src/model/quantizeModel.js'
import { indexGraph } from '#src/onnx/graph.js'
import { findLayers, readWeights } from '#src/onnx/layers.js'
import { decodeModel, encodeModel } from '#src/onnx/model.js'
import type { Quantizer } from '#src/quantizer.js'
import { frameQuantize } from '#src/reference/frame.js'
import { entries, load, present } from '../goldenLayers.js'
import * as b from '../onnx/build.js'
import { layerOf, openQuantizers } from './twin.js'

const [one, three] = (await openQuantizers(1, 3)) as [Quantizer, Quantizer]

/** ‖X(W − V)‖ / ‖XW‖ in float64. */
function outputError(
  samples: Float32Array,
  weights: Float32Array,
  values: Float32Array,
  inputs: number,
): number {
  const neurons = weights.length / inputs
  let error = 0
  let signal = 0
  for (let row = 0; row < samples.length / inputs; row++) {
    for (let k = 0; k < neurons; k++) {
      let [y, e] = [0, 0]
      for (let t = 0; t < inputs; t++) {
        const x = samples[row * inputs + t]!
        y += x * weights[t * neurons + k]!
        e += x * (weights[t * neurons + k]! - values[t * neurons + k]!)
      }
      signal += y * y
      error += e * e
    }
  }
  return Math.sqrt(error / signal)
}

describe('quantizeLayer', () => {
  const layer = layerOf({ rows: 90, inputs: 37, neurons: 21, same: true, seed: 401 })

  it('gives the same bytes on any number of threads, and its own error', async () => {
    const options = { method: 'frame', levels: 4, redundancy: 5 } as const
    const { seconds: _, ...alone } = await one.quantizeLayer(layer, options)
    const { seconds: __, ...together } = await three.quantizeLayer(layer, options)
    expect(together).toEqual(alone)
    // Three runs of 16 inputs, five coefficients an input.
    expect(alone.codes.length).toBe(3 * 16 * 5 * 21)
    const error = outputError(layer.samples, layer.weights, alone.values!, 37)
    expect(alone.relativeError! / error).toBeCloseTo(1, 4)
  })

  it('has an error that falls about as the number of coefficients grows', async () => {
    const errors: number[] = []
    for (const redundancy of [4, 16, 64]) {
      const { relativeError } = await one.quantizeLayer(layer, { method: 'frame', levels: 3, redundancy })
      errors.push(relativeError!)
    }
    expect(errors[1]! / errors[0]!).toBeLessThan(0.5)
    expect(errors[2]! / errors[1]!).toBeLessThan(0.5)
  })

  it('quantizes a layer of zeros', async () => {
    const zeros = { ...layer, weights: new Float32Array(layer.weights.length) }
    const { values, scales } = await one.quantizeLayer(zeros, { method: 'frame' })
    expect(values!.every((value) => Math.abs(value) < 1e-15)).toBe(true)
    expect(scales.every((scale) => scale > 0)).toBe(true)
  })

  it.skipIf(!present)('chooses the codes of the twin on golden weights, but for near-ties', async () => {
    for (const entry of entries.filter(({ weight }) => weight === undefined)) {
      const { weights, inputs, neurons } = load(entry)
      const layer = { weights, inputs, neurons, samples: new Float32Array(inputs).fill(1) }
      const { codes, scales } = await one.quantizeLayer(layer, { method: 'frame', measure: false })
      const count = 4 * 16
      let [wrong, undecided] = [0, 0]
      for (let k = 0; k < Math.min(neurons, 12); k++) {
        for (let run = 0; run < Math.floor(inputs / 16); run++) {
          const own = Array.from({ length: 16 }, (_, j) => weights[(16 * run + j) * neurons + k]!)
          let tie = false
          const twin = frameQuantize(
            { weights: own, count, levels: 15, scale: scales[k]! },
            (_, position) => {
              const nearest = Math.round(position)
              if (Math.abs(Math.abs(position - nearest) - 0.5) < 1e-4) tie = true
              return Math.min(14, Math.max(0, nearest))
            },
          )
          const equal = twin.codes.every((code, i) => code === codes[(run * count + i) * neurons + k])
          if (tie) undecided++
          else if (!equal) wrong++
        }
      }
      expect(wrong, `${entry.name}, ${undecided} runs with near-ties`).toBe(0)
    }
  })
})

describe('quantizeModel', () => {
  const source = encodeModel(
    b.model(
      [
        b.node('Conv', ['x', 'w1'], ['c'], { kernel_shape: [3, 3], group: 2 }, 'conv'),
        b.node('Flatten', ['c'], ['f'], {}, 'flatten'),
        b.node('MatMul', ['f', 'w2'], ['y'], {}, 'dense'),
      ],
      [b.floats('w1', [6, 2, 3, 3], b.noise(108, 1)), b.floats('w2', [54, 5], b.noise(270, 2))],
      [b.value('x', b.DataType.FLOAT, ['n', 4, 5, 5])],
      [b.value('y', b.DataType.FLOAT, ['n', 5])],
    ),
  )

  it('needs no samples, writes float values, and reports the cost of the codes', async () => {
    const runner = await createOrtWebRunner({ threads: 1 })
    const { model, report } = await quantizeModel(source, { runner, method: 'frame', levels: 16 })
    const graph = indexGraph(decodeModel(model))
    const { layers } = findLayers(graph, { include: [], exclude: [] })
    const original = indexGraph(decodeModel(source))
    for (const [i, layer] of findLayers(original, { include: [], exclude: [] }).layers.entries()) {
      const [before, after] = [readWeights(original, layer), readWeights(graph, layers[i]!)]
      const distance = Math.hypot(...before.map((w, t) => w - after[t]!)) / Math.hypot(...before)
      expect(distance).toBeGreaterThan(0)
      expect(distance).toBeLessThan(0.1)
    }
    // 18 inputs fill two runs of 16, 54 four: 4 coefficients of 4 bits an input, and a scale a neuron.
    const expected = [(2 * 16 * 4 * 4 + 32) / 18, (4 * 16 * 4 * 4 + 32) / 54]
    for (const [i, { codeBits }] of report.layers.entries()) expect(codeBits).toBeCloseTo(expected[i]!, 9)
    expect(report.layers.length).toBe(2)
    expect(report.layers.map(({ format }) => format)).toEqual(['float', 'float'])
    expect(report.notes).toMatchObject([{ code: 'VALUES_ARE_FLOAT', place: null }])
  })

  it.each(['packed', 'qdq', 'nbits'] as const)(
    'refuses format %s, which holds codes of weights',
    async (format) => {
      const runner = await createOrtWebRunner({ threads: 1 })
      await expect(quantizeModel(source, { runner, method: 'frame', format })).rejects.toThrow(
        /^format: expected float .*method frame.*, got /,
      )
    },
  )
})
