/** The vertex walk before rounding: the properties that 2209.03487 proves, for the twin and for the engine. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { vertexWalk } from '#src/reference/vertexWalk.js'
import { activations, disturbed, pruned, reals } from '../random.js'
import { openQuantizers, quantizeEverywhere } from './twin.js'

const quantizers = await openQuantizers(1, 2)

const shape = fc
  .record({
    rows: fc.integer({ min: 1, max: 30 }),
    wider: fc.integer({ min: 1, max: 60 }),
    neurons: fc.integer({ min: 1, max: 11 }),
    same: fc.boolean(),
    zeros: fc.constantFrom(0, 0.4, 0.9),
    seed: fc.nat(),
  })
  .map(({ rows, wider, neurons, same, zeros, seed }) => {
    const inputs = rows + wider
    const weights = pruned(reals(inputs * neurons, seed + 1), zeros, seed + 3)
    const x = activations(rows * inputs, seed).map((v, i) => (i % inputs === 3 ? 0 : v))
    return {
      ...{ rows, inputs, neurons, weights, samples: x },
      ...(same ? {} : { quantizedSamples: disturbed(x, 0.1, seed + 2) }),
    }
  })

describe('vertexWalk', () => {
  it('changes no output, leaves no weight larger, and all but at most m weights at the bound', () => {
    fc.assert(
      fc.property(shape, ({ rows, inputs, neurons, weights, samples }) => {
        const w = Float64Array.from({ length: inputs }, (_, t) => weights[t * neurons]!)
        const z = vertexWalk(samples, rows, w, false)
        const c = Math.max(...w.map(Math.abs))
        for (let r = 0; r < rows; r++) {
          let [moved, size] = [0, 0]
          for (let t = 0; t < inputs; t++) {
            moved += samples[r * inputs + t]! * (z[t]! - w[t]!)
            size += Math.abs(samples[r * inputs + t]! * c)
          }
          expect(Math.abs(moved)).toBeLessThanOrEqual(1e-9 * size)
        }
        expect(Math.max(...z.map(Math.abs))).toBeLessThanOrEqual(c * (1 + 1e-12))
        expect(z.filter((v) => Math.abs(v) < c).length).toBeLessThanOrEqual(rows)
      }),
      { seed: 121, numRuns: 60 },
    )
  })
})

describe('msq with preprocess', () => {
  it('rounds the weights that the twin walked to, on one thread and on two', async () => {
    let [differing, total] = [0, 0]
    await fc.assert(
      fc.asyncProperty(shape, fc.constantFrom(2, 3, 7, 15), async (layer, levels) => {
        const result = await quantizeEverywhere(quantizers, layer, {
          method: 'msq',
          preprocess: true,
          levels,
        })
        const { rows, inputs, neurons, weights, samples } = layer
        for (let k = 0; k < neurons; k++) {
          const w = Float64Array.from({ length: inputs }, (_, t) => weights[t * neurons + k]!)
          const z = vertexWalk(layer.quantizedSamples ?? samples, rows, w, levels % 2 === 1)
          z.forEach((v, t) => {
            const steps = v / result.scales[k]! + result.zero
            const code = result.codes[t * neurons + k]!
            total++
            if (Math.abs(steps - code) > 0.5 + 1e-4) differing++
          })
        }
      }),
      { seed: 122, numRuns: 40 },
    )
    // If two steps are equally long up to rounding, the walks can end at different vertices.
    expect(differing).toBeLessThan(0.01 * total)
  })

  it('has a far smaller error than plain rounding on a wide layer with few samples', async () => {
    const [rows, inputs, neurons] = [20, 400, 8]
    const layer = {
      inputs,
      neurons,
      weights: reals(inputs * neurons, 123),
      samples: reals(rows * inputs, 124),
    }
    const options = { method: 'msq' as const, levels: 3, radius: { rule: 'max' as const } }
    const plain = await quantizers[0]!.quantizeLayer(layer, options)
    const walked = await quantizers[0]!.quantizeLayer(layer, { ...options, preprocess: true })
    // oracle/family.out: .215 against .826 for Gaussian (m, N) = (20, 400), ternary.
    expect(walked.relativeError).toBeLessThan(0.3)
    expect(plain.relativeError).toBeGreaterThan(0.6)
  })

  it('refuses as many samples as inputs, with the reason, and the options that exclude it', async () => {
    const refused = (rows: number, options: object): Promise<unknown> =>
      quantizers[0]!.quantizeLayer(
        { inputs: 8, neurons: 1, weights: reals(8, 1), samples: reals(8 * rows, 2) },
        { method: 'msq', preprocess: true, ...options },
      )
    await expect(refused(8, {})).rejects.toThrow(
      /^samples: expected fewer samples than inputs \(8\) for preprocess, got 8; use fewer/,
    )
    const samples = Float32Array.of(1, Number.NaN, 1, 1)
    const unknown = { inputs: 4, neurons: 1, weights: reals(4, 1), samples }
    await expect(quantizers[0]!.quantizeLayer(unknown, { method: 'msq', preprocess: true })).rejects.toThrow(
      /finite inputs/,
    )
    await expect(refused(4, { method: 'gpfq' })).rejects.toThrow(
      /preprocess: expected a method that has it \(msq\), got gpfq/,
    )
    await expect(refused(4, { passes: 1 })).rejects.toThrow(
      /preprocess: expected no passes together with it, got 1/,
    )
    await expect(refused(4, { radius: { rule: 'search' } })).rejects.toThrow(
      /radius: expected max with preprocess/,
    )
    await expect(refused(4, { scalePer: 'layer' })).rejects.toThrow(
      /scalePer: expected 'neuron' with preprocess/,
    )
  })
})
