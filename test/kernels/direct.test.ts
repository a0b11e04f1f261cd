/**
 * assembly/direct.ts: the whole blocked recursion, advance and settle in turn as the direct form runs them, against the
 * float64 recursion of src/reference/gpfq.ts. Integer samples, dyadic weights and scales: U, Z and all products are
 * exact in float32 and boundaries cannot be missed (see substitute.test.ts), so codes and residuals must be equal.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Task } from '#src/engine/job.js'
import { gpfq } from '#src/reference/gpfq.js'
import { gramMatrix } from '#src/reference/gram.js'
import { advance, settle } from '#src/wasm/kernels.js'
import { expectSame } from '../arrays.js'
import { integers } from '../random.js'
import {
  BLOCK,
  columnIndex,
  columnPanels,
  gramPanels,
  type Matrix,
  panelsOf,
  samplePanels,
  scalePanels,
} from './layout.js'
import { Machine } from './machine.js'

const machine = await Machine.create()

interface Case {
  readonly rows: number
  readonly inputs: number
  readonly neurons: number
  readonly groups: number
  readonly edge: number
  readonly blockSize: number
  readonly levels: number
  readonly same: boolean
  readonly seed: number
}

interface Layer {
  readonly x: Matrix
  readonly xq: Matrix
  readonly w: Matrix
}

function layers({ rows, inputs, neurons, groups, same, seed }: Case): Layer[] {
  return Array.from({ length: groups }, (_, g) => {
    const samples = (at: number): Matrix => ({
      rows,
      columns: inputs,
      values: integers(rows * inputs, 1, at).map((v, i) => (i % inputs === 3 ? 0 : v)),
    })
    const x = samples(seed + 2 * g)
    const w = integers(inputs * neurons, 8, seed + 77 + g).map((value) => value / 8)
    return { x, xq: same ? x : samples(seed + 2 * g + 1), w: { rows: inputs, columns: neurons, values: w } }
  })
}

const scaleOf = (g: number, b: number, k: number): number => 2 ** -(1 + ((g + b + k) % 3))

/** In-block triangles [group][block of inputs] of XqᵀX. */
function triangles(
  { rows, inputs, edge }: Case,
  blocks: number,
  pairs: readonly Layer[],
  same: boolean,
): Float32Array {
  const side = 8 * edge
  const squares = pairs.flatMap(({ x, xq }) => {
    const whole = gramMatrix(xq.values, same ? xq.values : x.values, rows, inputs)
    return Array.from({ length: blocks }, (_, block): Matrix => {
      const values = new Float64Array(side * side)
      for (let i = 0; i < side; i++) {
        for (let s = 0; s < side; s++) {
          const [row, column] = [block * side + i, block * side + s]
          if (row < inputs && column < inputs) values[i * side + s] = whole[row * inputs + column]!
        }
      }
      return { rows: side, columns: side, values }
    })
  })
  return gramPanels(squares, edge, true)
}

interface Outcome {
  readonly codes: Uint8Array // [group][neuron panel][8·panels][8]
  readonly u: Float32Array // [sample block][group][neuron panel][256][8]
  readonly panels: number
}

/** @param cut items of every tile; each task's own if left out */
function run(c: Case, all: readonly Layer[], cut?: number): Outcome {
  const { rows, inputs, neurons, groups, edge, blockSize, levels, same, seed } = c
  const blocks = Math.ceil(panelsOf(inputs) / edge)
  const panels = blocks * edge
  const neuronPanels = panelsOf(neurons)
  const sampleBlocks = Math.ceil(rows / BLOCK)
  const scaleBlocks = Math.ceil(inputs / blockSize)
  machine.reset()
  const samples = (pick: (layer: Layer) => Matrix): number =>
    machine.floats(samplePanels(all.map(pick), panels)).at
  const w = machine.floats(
    columnPanels(
      all.map((layer) => layer.w),
      panels,
    ),
  )
  const u = machine.floats(sampleBlocks * groups * neuronPanels * BLOCK * 8)
  const codes = machine.bytes(w.values.length)
  const scales = machine.floats(
    scalePanels({ groups, candidates: 1, blocks: scaleBlocks, neurons }, (g, _, b, k) => scaleOf(g, b, k)),
  )
  const zeros = machine.floats(new Float32Array(scales.values.length).fill((levels - 1) / 2))
  const h = machine.floats(triangles(c, blocks, all, true)).at
  const common = {
    w: w.at,
    n: machine.floats(w.values.length).at,
    z: machine.floats(sampleBlocks * groups * neuronPanels * edge * 64).at,
    blocks,
    edge,
    groups,
    neuronPanels,
  }
  const moving = {
    ...common,
    x: same ? 0 : samples(({ x }) => x),
    xq: samples(({ xq }) => xq),
    u: u.at,
    rows,
  }
  const settling = {
    ...common,
    h,
    g: same ? 0 : machine.floats(triangles(c, blocks, all, false)).at,
    scales: scales.at,
    zeros: zeros.at,
    codes: codes.at,
    scratch: machine.floats(2 * edge * 64).at,
    inputs,
    rows,
    scaleBlocks,
    scaleBlockSize: blockSize,
    top: levels - 1,
  }
  const carryOut = (task: Task): void =>
    machine.run({ ...task, step: cut ?? task.step }, { seed, workers: 2 })
  for (let now = 0; now < blocks; now++) {
    carryOut(advance(moving, now - 1, now))
    carryOut(settle(settling, now))
  }
  carryOut(advance(moving, blocks - 1, -1))
  return { codes: codes.values.slice(), u: u.values.slice(), panels }
}

const shape = fc
  .record({
    rows: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.constantFrom(255, 256, 258, 515)),
    inputs: fc.integer({ min: 1, max: 70 }),
    neurons: fc.integer({ min: 1, max: 20 }),
    groups: fc.integer({ min: 1, max: 3 }),
    edge: fc.constantFrom(1, 2, 4, 8),
    blockSize: fc.integer({ min: 1, max: 70 }),
    levels: fc.integer({ min: 2, max: 16 }),
    same: fc.boolean(),
    seed: fc.integer({ min: 0, max: 2 ** 30 }),
  })
  .map((c): Case => ({ ...c, blockSize: Math.min(c.blockSize, c.inputs) }))

describe('advance and settle', () => {
  it('choose the codes of the float64 recursion and end with its residual XW − XqQ', () => {
    fc.assert(
      fc.property(shape, (c) => {
        const { rows, inputs, neurons, groups, blockSize, levels } = c
        const all = layers(c)
        const { codes, u, panels } = run(c, all)
        const perGroup = panelsOf(neurons)
        const zero = (levels - 1) / 2
        all.forEach(({ x, xq, w }, g) => {
          const blocks = Math.ceil(inputs / blockSize)
          const scales = Float64Array.from({ length: blocks * neurons }, (_, i) =>
            scaleOf(g, Math.floor(i / neurons), i % neurons),
          )
          const expected = gpfq({
            ...{ rows, inputs, neurons, levels, blockSize, zero, scales },
            weights: w.values,
            samples: x.values,
            quantizedSamples: xq.values,
          })
          const actual = expected.codes.map(
            (_, i) => codes[columnIndex(g, Math.floor(i / neurons), i % neurons, perGroup, panels)]!,
          )
          expectSame(actual, expected.codes, 'code')
          for (let r = 0; r < rows; r += 1 + Math.floor(rows / 20)) {
            for (let k = 0; k < neurons; k++) {
              let residual = 0
              for (let t = 0; t < inputs; t++) {
                const q =
                  scales[Math.floor(t / blockSize) * neurons + k]! * (expected.codes[t * neurons + k]! - zero)
                residual +=
                  x.values[r * inputs + t]! * w.values[t * neurons + k]! - xq.values[r * inputs + t]! * q
              }
              const column = (Math.floor(r / BLOCK) * groups + g) * perGroup + (k >> 3)
              expect(u[(column * BLOCK + (r % BLOCK)) * 8 + (k & 7)]).toBe(residual)
            }
          }
        })
      }),
      { seed: 12, numRuns: 60 },
    )
  })

  it('give the same bytes for every cut into tiles', () => {
    fc.assert(
      fc.property(shape, (c) => {
        const all = layers(c)
        const whole = run(c, all)
        for (const cut of [2, 3, 1000]) {
          const { codes, u } = run(c, all, cut)
          expectSame(codes, whole.codes, 'code')
          expectSame(u, whole.u, 'residual')
        }
      }),
      { seed: 17, numRuns: 15 },
    )
  })
})
