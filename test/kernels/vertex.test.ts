/**
 * assembly/vertex.ts against reference/vertexWalk.ts, which keeps a whole tableau instead of an inverse, and against
 * the properties that 2209.03487 proves for such walks: Xz = Xw, ‖z‖∞ = ‖w‖∞, all but at most m weights at ±‖w‖∞, zeros
 * that stay aside.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { vertexWalk as vertexWalkTwin } from '#src/reference/vertexWalk.js'
import { vertexScratch, vertexWalk } from '#src/wasm/methodKernels.js'
import { expectSame } from '../arrays.js'
import { activations, pruned, reals } from '../random.js'
import { columnIndex, columnPanels, type Matrix, panelsOf, samplePanels } from './layout.js'
import { Machine } from './machine.js'
import { cuts } from './paths.js'

const machine = await Machine.create()

interface Case {
  readonly rows: number
  readonly inputs: number
  readonly neurons: number
  readonly groups: number
  readonly levels: number
  readonly seed: number
}

const shape: fc.Arbitrary<Case> = fc
  .record({
    rows: fc.integer({ min: 1, max: 30 }),
    wider: fc.integer({ min: 1, max: 60 }),
    neurons: fc.integer({ min: 1, max: 11 }),
    groups: fc.integer({ min: 1, max: 2 }),
    levels: fc.constantFrom(2, 3),
    seed: fc.integer({ min: 0, max: 2 ** 30 }),
  })
  .map(({ wider, ...c }) => ({ ...c, inputs: c.rows + wider }))

interface Layer {
  readonly x: Matrix
  readonly w: Matrix
}

/** Every seventh input is dead, and none, half or most of the weights are zero. */
const layersOf = ({ rows, inputs, neurons, groups, seed }: Case): Layer[] =>
  Array.from({ length: groups }, (_, g) => ({
    x: {
      rows,
      columns: inputs,
      values: activations(rows * inputs, seed + g).map((v, i) => ((i % inputs) % 7 === 3 ? 0 : v)),
    },
    w: {
      ...{ rows: inputs, columns: neurons },
      values: pruned(reals(inputs * neurons, seed + 50 + g), [0, 0.5, 0.9][seed % 3]!, seed + 60 + g),
    },
  }))

/** The final weights, in panels. */
function run(c: Case, layers: readonly Layer[], step = 1, workers = 1): Float32Array {
  const { rows, inputs, neurons, groups } = c
  const panels = panelsOf(inputs)
  const place = (pick: (layer: Layer) => Matrix): Matrix[] => layers.map(pick)
  machine.reset()
  const weights = machine.floats(
    columnPanels(
      place(({ w }) => w),
      panels,
    ),
  )
  const task = vertexWalk({
    x: machine.floats(
      samplePanels(
        place(({ x }) => x),
        panels,
      ),
    ).at,
    weights: weights.at,
    scratch: machine.bytes(workers * vertexScratch(rows, inputs)).at,
    ...{ rows, inputs, panels, neurons, groups },
    neuronPanels: panelsOf(neurons),
    top: c.levels - 1,
  })
  machine.run({ ...task, step }, { seed: c.seed, workers })
  return weights.values.slice()
}

/** Checks the paper's properties for every neuron. Returns the numbers of neurons and of those unlike the twin's. */
function compare(
  c: Case,
  layers: readonly Layer[],
  walked: Float32Array,
): { all: number; elsewhere: number } {
  let [all, elsewhere] = [0, 0]
  for (const [g, { x, w }] of layers.entries()) {
    for (let k = 0; k < c.neurons; k++) {
      const own = Float64Array.from({ length: c.inputs }, (_, t) => w.values[t * c.neurons + k]!)
      const z = own.map((_, t) => walked[columnIndex(g, t, k, panelsOf(c.neurons), panelsOf(c.inputs))]!)
      const most = Math.max(...own.map(Math.abs))
      for (let r = 0; r < c.rows; r++) {
        let [moved, size] = [0, 0]
        for (let t = 0; t < c.inputs; t++) {
          const value = x.values[r * c.inputs + t]!
          moved += value * (z[t]! - own[t]!)
          size += Math.abs(value) * most
        }
        // z is written in float32: half a unit in the last place a weight.
        expect(Math.abs(moved), `group ${g} neuron ${k} sample ${r}`).toBeLessThanOrEqual(2 ** -24 * size)
      }
      expect(Math.max(...z.map(Math.abs))).toBe(most)
      const keeps = c.levels % 2 === 1
      expect(z.filter((v, t) => Math.abs(v) < most && !(keeps && own[t] === 0)).length).toBeLessThanOrEqual(
        c.rows,
      )
      if (keeps) expect(own.every((v, t) => v !== 0 || z[t] === 0)).toBe(true)
      const twin = vertexWalkTwin(x.values, c.rows, own, keeps)
      all++
      if (z.some((v, t) => Math.abs(v - twin[t]!) > 1e-6 * most)) elsewhere++
    }
  }
  return { all, elsewhere }
}

describe('vertexWalk', () => {
  it('ends at the twin’s vertex, with the properties that the paper proves', () => {
    let [all, elsewhere] = [0, 0]
    fc.assert(
      fc.property(shape, (c) => {
        const layers = layersOf(c)
        const counted = compare(c, layers, run(c, layers, 1, 2))
        all += counted.all
        elsewhere += counted.elsewhere
      }),
      { seed: 151, numRuns: 60 },
    )
    // Where two distances are equal up to rounding, the walks may end at different vertices.
    expect(elsewhere).toBeLessThan(0.02 * all)
  })

  it('reads samples of more than one block', () => {
    const c = { rows: 270, inputs: 300, neurons: 2, groups: 1, levels: 3, seed: 152 }
    const layers = layersOf(c)
    compare(c, layers, run(c, layers))
  })

  it('gives the same bytes for every cut into tiles and every number of workers', () => {
    fc.assert(
      fc.property(shape, (c) => {
        const layers = layersOf(c)
        const alone = run(c, layers)
        for (const step of cuts(c.groups * c.neurons)) {
          for (const workers of [1, 3]) expectSame(run(c, layers, step, workers), alone)
        }
      }),
      { seed: 153, numRuns: 10 },
    )
  })
})
