/**
 * assembly/beacon.ts against reference/beacon.ts. The kernel reads H, Gᵀ and projections in float32, the twin the
 * samples in float64. Where the scores of two values agree to 10⁻⁶, either choice is accepted; such neurons are
 * counted, and all others must agree.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { nearestEven } from '#src/methods/alphabet.js'
import { beacon as beaconTwin } from '#src/reference/beacon.js'
import { gramMatrix } from '#src/reference/gram.js'
import { project } from '#src/wasm/kernels.js'
import { beacon, beaconScratch } from '#src/wasm/methodKernels.js'
import { activations, disturbed, randomFrom, reals } from '../random.js'
import { columnIndex, columnPanels, gramPanels, type Matrix, panelsOf, scalePanels } from './layout.js'
import { Machine } from './machine.js'
import { cuts } from './paths.js'

const machine = await Machine.create()

interface Case {
  readonly rows: number
  readonly inputs: number
  readonly neurons: number
  readonly groups: number
  readonly levels: number
  readonly loops: number
  readonly seed: number
}

const shape: fc.Arbitrary<Case> = fc.record({
  rows: fc.integer({ min: 20, max: 120 }),
  inputs: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.constantFrom(128, 129, 136)),
  neurons: fc.integer({ min: 1, max: 20 }),
  groups: fc.integer({ min: 1, max: 2 }),
  levels: fc.constantFrom(2, 3, 4, 7, 15),
  loops: fc.integer({ min: 0, max: 3 }),
  seed: fc.integer({ min: 0, max: 2 ** 30 }),
})

interface Layer {
  readonly x: Float32Array
  readonly xq: Float32Array
  readonly w: Float32Array
}

/** About one input in seven is dead. */
function layersOf({ rows, inputs, neurons, groups, seed }: Case): Layer[] {
  const random = randomFrom(seed)
  const dead = Array.from({ length: inputs }, () => random() < 1 / 7)
  return Array.from({ length: groups }, (_, g) => {
    const x = activations(rows * inputs, seed + 10 * g).map((v, i) => (dead[i % inputs] ? 0 : v))
    return { x, xq: disturbed(x, 0.1, seed + 10 * g + 1), w: reals(inputs * neurons, seed + 10 * g + 2) }
  })
}

/** The value of a weight of the largest magnitude while all earlier values are zero: the outermost one. */
const startScale = (w: ArrayLike<number>, levels: number): number =>
  Math.fround(Array.from(w).reduce((most, v) => Math.max(most, Math.abs(v)), 0) / ((levels - 1) / 2))

const weightsOf = ({ w }: Layer, { inputs, neurons }: Case, k: number): Float64Array =>
  Float64Array.from({ length: inputs }, (_, t) => w[t * neurons + k]!)

interface Outcome {
  readonly codes: Uint8Array
  readonly found: Float32Array
}

function run(c: Case, layers: readonly Layer[], step = 1, workers = 1): Outcome {
  const { rows, inputs, neurons, groups, levels } = c
  const panels = panelsOf(inputs)
  const neuronPanels = panelsOf(neurons)
  const square = (values: ArrayLike<number>): Matrix => ({ rows: inputs, columns: inputs, values })
  const transposed = (m: Float64Array): Float64Array =>
    m.map((_, i) => m[(i % inputs) * inputs + Math.floor(i / inputs)]!)
  const gs = layers.map(({ x, xq }) => gramMatrix(xq, x, rows, inputs))
  machine.reset()
  const full = (matrices: Float64Array[]): number =>
    machine.floats(gramPanels(matrices.map(square), panels, false)).at
  const weights = machine.floats(
    columnPanels(
      layers.map(({ w }) => ({ rows: inputs, columns: neurons, values: w })),
      panels,
    ),
  )
  const [r, s] = [machine.floats(weights.values.length), machine.floats(weights.values.length)]
  const common = { weights: weights.at, r: r.at, s: s.at, panels, neuronPanels, groups }
  machine.run(project({ ...common, g: full(gs), triangular: false }))
  const scales = scalePanels({ groups, candidates: 1, blocks: 1, neurons }, (g, _c, _b, k) =>
    startScale(weightsOf(layers[g]!, c, k), levels),
  )
  const codes = machine.bytes(groups * neuronPanels * panels * 64)
  const found = machine.floats(groups * neuronPanels * 8)
  const task = beacon({
    ...common,
    h: full(layers.map(({ xq }) => gramMatrix(xq, xq, rows, inputs))),
    gt: full(gs.map(transposed)),
    scales: machine.floats(scales).at,
    codes: codes.at,
    found: found.at,
    scratch: machine.bytes(workers * beaconScratch(panels)).at,
    inputs,
    top: levels - 1,
    zero: (levels - 1) / 2,
    loops: c.loops,
  })
  machine.run({ ...task, step }, { seed: c.seed, workers })
  return { codes: codes.values.slice(), found: found.values.slice() }
}

const NEAR = 1e-6

describe('beacon', () => {
  it('chooses the codes and the scale of the twin; dead inputs are rounded at that scale', () => {
    let [neurons, ties] = [0, 0]
    fc.assert(
      fc.property(shape, (c) => {
        const layers = layersOf(c)
        const { codes, found } = run(c, layers, 1, 2)
        const zero = (c.levels - 1) / 2
        const perGroup = panelsOf(c.neurons)
        const values = Array.from({ length: c.levels }, (_, code) => code - zero)
        for (const [g, layer] of layers.entries()) {
          for (let k = 0; k < c.neurons; k++) {
            const w = weightsOf(layer, c, k)
            const twin = beaconTwin(
              { samples: layer.x, quantizedSamples: layer.xq, rows: c.rows, w },
              values,
              c.loops,
            )
            const live = (t: number): boolean => layer.xq.some((v, i) => i % c.inputs === t && v !== 0)
            const scale = found[(g * perGroup + (k >> 3)) * 8 + (k & 7)]!
            const actual = Array.from(w, (_, t) => codes[columnIndex(g, t, k, perGroup, panelsOf(c.inputs))]!)
            // If the scale is negative, the kernel writes its magnitude and the codes of −z.
            const turn = twin.scale < 0 ? -1 : 1
            const expected = Array.from(w, (v, t) =>
              live(t)
                ? turn * twin.z[t]! + zero
                : Math.min(c.levels - 1, Math.max(0, nearestEven(v / scale + zero))),
            )
            neurons++
            if (twin.margin < NEAR && actual.some((code, t) => code !== expected[t])) {
              ties++
              continue
            }
            const place = `group ${g} neuron ${k}, margin ${twin.margin}`
            expect(actual, place).toEqual(expected)
            if (twin.scale !== 0) expect(scale / Math.abs(twin.scale), place).toBeCloseTo(1, 4)
            else expect(scale, place).toBeGreaterThan(0)
          }
        }
      }),
      { seed: 141, numRuns: 40 },
    )
    expect(ties).toBeLessThan(0.05 * neurons)
  })

  it('gives the same bytes for every cut into tiles and every number of workers', () => {
    fc.assert(
      fc.property(shape, (c) => {
        const layers = layersOf(c)
        const alone = run(c, layers)
        for (const step of cuts(c.groups * panelsOf(c.neurons))) {
          for (const workers of [1, 3]) expect(run(c, layers, step, workers)).toEqual(alone)
        }
      }),
      { seed: 142, numRuns: 10 },
    )
  })
})
