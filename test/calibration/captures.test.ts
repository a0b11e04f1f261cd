/** Captures: which layers share samples, how long a segment is, and in which order the rows of several uses come. */
import fc from 'fast-check'
import type { NodeProto, TensorProto } from 'onnx-buf'
import { beforeAll, describe, expect, it } from 'vitest'
import {
  type CapturedLayer,
  type CaptureRule,
  captureSamples,
  groupByCapture,
  placeOf,
  segmentSamples,
} from '#src/calibration/captures.js'
import { createOrtWebRunner } from '#src/calibration/onnxRuntime.js'
import type { Runner } from '#src/calibration/runner.js'
import { wholeShard } from '#src/calibration/shard.js'
import { Streams } from '#src/calibration/streams.js'
import { indexGraph } from '#src/onnx/graph.js'
import { findLayers } from '#src/onnx/layers.js'
import { Network } from '#src/onnx/network.js'
import { planStages } from '#src/onnx/stages.js'
import type { Feeds } from '#src/tensor/tensor.js'
import * as b from '../onnx/build.js'

const RULE: CaptureRule = { patches: 0, random: null, wholeG: true, means: false }

describe('a segment', () => {
  it('is a power of two of samples, at least eight of them where there are as many samples', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2 ** 40 }), (total) => {
        const samples = segmentSamples(total)
        expect(Number.isInteger(Math.log2(samples))).toBe(true)
        if (total >= 8) expect(Math.floor(total / samples)).toBeGreaterThanOrEqual(8)
        expect(total / samples).toBeLessThan(16)
      }),
      { seed: 21 },
    )
    expect([1, 8, 15, 16, 224, 448].map(segmentSamples)).toEqual([1, 1, 1, 2, 16, 32])
  })
})

describe('captures', () => {
  const layer = (name: string, input: string, more: Partial<CapturedLayer> = {}): CapturedLayer => ({
    ...{ name, inputs: 4, groups: 1, planes: 1, rounded: false },
    uses: [{ node: name, input, output: `${name}:y`, sampling: { kind: 'rows' } }],
    ...more,
  })
  const names = (layers: readonly CapturedLayer[]): string[][] =>
    groupByCapture(layers).map((capture) => capture.layers.map(({ name }) => name))

  it('join layers that read the same rows', () => {
    const layers = [layer('q', 'x'), layer('k', 'x'), layer('o', 'z'), layer('v', 'x')]
    expect(names(layers)).toEqual([['q', 'k', 'v'], ['o']])
    expect(placeOf(groupByCapture(layers)[0]!)).toBe("layer 'q', layer 'k', layer 'v'")
  })

  it('keep layers apart that read them in another way', () => {
    const columns = layer('c', 'x')
    const apart = [
      layer('a', 'x'),
      { ...columns, uses: columns.uses.map((use) => ({ ...use, sampling: { kind: 'columns' as const } })) },
      layer('g', 'x', { groups: 2 }),
      layer('h', 'x', { groups: 2 }),
      layer('p', 'x', { planes: 2 }),
    ]
    expect(names(apart)).toEqual([['a'], ['c'], ['g'], ['h'], ['p']])
  })
})

describe('rows of a weight with two uses', () => {
  let runner: Runner
  beforeAll(async () => {
    runner = await createOrtWebRunner({ threads: 1 })
  })

  const SAMPLES = 5
  interface Kind {
    readonly input: readonly number[]
    readonly nodes: readonly NodeProto[]
    readonly weight: TensorProto
    /** Rows of one sample and use. */
    readonly rows: number
  }
  const pads = [1, 1, 1, 1]
  const KINDS: Readonly<Record<string, Kind>> = {
    'a vector a sample': {
      input: [3],
      nodes: [b.node('MatMul', ['x', 'w'], ['y1']), b.node('MatMul', ['neg', 'w'], ['y2'])],
      weight: b.floats('w', [3, 2], b.noise(6, 1)),
      rows: 1,
    },
    'a sequence a sample': {
      input: [4, 3],
      nodes: [b.node('MatMul', ['x', 'w'], ['y1']), b.node('MatMul', ['neg', 'w'], ['y2'])],
      weight: b.floats('w', [3, 2], b.noise(6, 1)),
      rows: 4,
    },
    'columns of a matrix a sample': {
      input: [3, 4],
      nodes: [b.node('MatMul', ['w', 'x'], ['y1']), b.node('MatMul', ['w', 'neg'], ['y2'])],
      weight: b.floats('w', [2, 3], b.noise(6, 1)),
      rows: 4,
    },
    'an image a sample': {
      input: [2, 3, 3],
      nodes: [b.node('Conv', ['x', 'w'], ['y1'], { pads }), b.node('Conv', ['neg', 'w'], ['y2'], { pads })],
      weight: b.floats('w', [2, 2, 3, 3], b.noise(36, 1)),
      rows: 9,
    },
  }

  /** All rows as they are observed, as text, and the rows of a segment. */
  async function rowsOf(kind: Kind, batch: number): Promise<{ rows: string[]; segmentRows: number }> {
    const model = b.model(
      [b.node('Neg', ['x'], ['neg']), ...kind.nodes],
      [kind.weight],
      [b.value('x', b.DataType.FLOAT, ['n', ...kind.input])],
      ['y1', 'y2'],
    )
    const graph = indexGraph(model)
    const { layers } = findLayers(graph)
    expect(layers.map(({ uses }) => uses.length)).toEqual([2])
    const each = kind.input.reduce((product, dim) => product * dim, 1)
    const values = b.noise(SAMPLES * each, 7).map(Math.abs)
    const batches = Array.from({ length: Math.ceil(SAMPLES / batch) }, (_, i): Feeds => {
      const data = values.slice(i * batch * each, (i + 1) * batch * each)
      return { x: { type: 'float32', dims: [data.length / each, ...kind.input], data } }
    })
    const network = Network.of(model)
    const streams = new Streams(runner, network, wholeShard(batches), planStages(graph, layers))
    await streams.plan()
    await streams.advance(network, { signal: undefined, onProgress: () => {} })
    const [capture] = groupByCapture(layers.map((layer) => ({ ...layer, planes: 1, rounded: false })))
    const { shape, batches: sampled } = captureSamples(capture!, streams, network, RULE)
    const rows: string[] = []
    for await (const { x, gather } of sampled()) {
      const { rowAt, columnAt, padding } = gather
      for (const at of rowAt) {
        // A padded patch is known by the first value of its tensor and its offset.
        const row = padding === null ? Array.from(columnAt, (column) => x[(at + column) / 4]) : [x[0], at]
        rows.push(row.join())
      }
    }
    await streams.close()
    expect(rows).toHaveLength(shape.rows)
    return { rows, segmentRows: shape.segmentRows }
  }

  it.each(Object.keys(KINDS))('take turns sample by sample, in batches of any size: %s', async (name) => {
    const kind = KINDS[name]!
    const { rows, segmentRows } = await rowsOf(kind, 1)
    expect(segmentRows).toBe(2 * kind.rows * segmentSamples(SAMPLES))
    expect(rows).toHaveLength(2 * kind.rows * SAMPLES)
    // The first use reads positive values, the second one negative ones.
    for (const [i, row] of rows.entries()) {
      expect(row.startsWith('-'), `row ${i}`).toBe(Math.floor(i / kind.rows) % 2 === 1)
    }
    for (const batch of [2, 3, 5]) expect(await rowsOf(kind, batch)).toEqual({ rows, segmentRows })
  })
})

describe('rows that judge a layer', () => {
  it('are every so many of the samples that are kept out, the same in batches of any size', async () => {
    const [samples, positions, width] = [6, 701, 3]
    const runner = await createOrtWebRunner({ threads: 1 })
    const model = b.model(
      [b.node('MatMul', ['x', 'w'], ['y'])],
      [b.noisy('w', [width, 2], 1)],
      [b.value('x', b.DataType.FLOAT, ['n', positions, width])],
      ['y'],
    )
    const values = b.noise(samples * positions * width, 5)
    const graph = indexGraph(model)
    const { layers } = findLayers(graph)
    const network = Network.of(model)
    const firstsOf = async (batch: number): Promise<number[]> => {
      const each = positions * width
      const heldOut = Array.from({ length: samples / batch }, (_, i): Feeds => {
        const data = values.slice(i * batch * each, (i + 1) * batch * each)
        return { x: { type: 'float32', dims: [batch, positions, width], data } }
      })
      const streams = new Streams(
        runner,
        network,
        wholeShard(heldOut.slice(0, 1), heldOut),
        planStages(graph, layers),
      )
      await streams.plan()
      await streams.advance(network, { signal: undefined, onProgress: () => {} })
      const [capture] = groupByCapture(layers.map((layer) => ({ ...layer, planes: 1, rounded: false })))
      const { shape, batches } = captureSamples(capture!, streams, network, { ...RULE, heldOut: true })
      const firsts: number[] = []
      for await (const { x, gather } of batches())
        for (const at of gather.rowAt) firsts.push(x[(at + gather.columnAt[0]!) / 4]!)
      await streams.close()
      expect(firsts).toHaveLength(shape.rows)
      return firsts
    }
    // 4206 rows, of which a fourth is about 1024.
    const expected = Array.from(
      { length: Math.ceil((samples * positions) / 4) },
      (_, i) => values[4 * i * width]!,
    )
    for (const batch of [1, 2, 3, 6]) expect(await firstsOf(batch)).toEqual(expected)
  })
})
