/**
 * Models that exporters do write and that are unlike most: half precision, outputs that are constants or no tensors, shapes
 * that follow from values, weights that are read twice. And data that does not fit: said before anything runs.
 */
import { create } from '@bufbuild/protobuf'
import {
  type ModelProto,
  type NodeProto,
  SparseTensorProtoSchema,
  StringStringEntryProtoSchema,
  type TensorProto,
  TensorProto_DataLocation,
} from 'onnx-buf'
import { beforeAll, describe, expect, it } from 'vitest'
import { planModel, quantizeModel } from '#src/model/quantizeModel.js'
import { describeNote } from '#src/notes.js'
import { encodeModel } from '#src/onnx/model.js'
import { makeTensor } from '#src/onnx/tensor.js'
import type { PlanModelOptions, ProgressEvent, RunOptions } from '#src/options.js'
import { float32ToFloat16 } from '#src/tensor/float16.js'
import type { Feeds, TensorType } from '#src/tensor/tensor.js'
import { type CountingRunner, createCountingRunner } from './calibration/counting.js'
import * as b from './onnx/build.js'

let runner: CountingRunner
beforeAll(async () => {
  runner = await createCountingRunner()
})

const ROWS = 40
const rows = (samples: number, width: number, seed = 3): Feeds => ({
  x: { type: 'float32', dims: [samples, width], data: b.noise(samples * width, seed) },
})

function net(
  nodes: NodeProto[],
  initializers: TensorProto[],
  outputs: Parameters<typeof b.model>[3] = ['y'],
  input = b.value('x', b.DataType.FLOAT, ['n', 8]),
): ModelProto {
  return b.model(nodes, initializers, [input], outputs)
}

const quantize = (model: ModelProto, options: PlanModelOptions & Partial<RunOptions> = {}) =>
  quantizeModel(encodeModel(model), { calibration: [rows(ROWS, 8)], runner, threads: 1, ...options })

const half = (name: string, dims: number[], seed: number): TensorProto =>
  makeTensor(
    name,
    b.DataType.FLOAT16,
    dims,
    Uint16Array.from(b.noise(dims[0]! * dims[1]!, seed), float32ToFloat16),
  )

/** Two dense layers. */
const twoLayers = (): ModelProto =>
  net(
    [
      b.node('MatMul', ['x', 'w1'], ['h'], {}, 'first'),
      b.node('Relu', ['h'], ['r'], {}, 'relu'),
      b.node('MatMul', ['r', 'w2'], ['y'], {}, 'second'),
    ],
    [b.floats('w1', [8, 12], b.noise(96, 1)), b.floats('w2', [12, 5], b.noise(60, 2))],
  )

/** The second layer reads as many rows as the first one has positive outputs. */
const counted = (): ModelProto =>
  net(
    [
      b.node('MatMul', ['x', 'w1'], ['h'], {}, 'first'),
      b.node('Greater', ['h', 'zero'], ['positive']),
      b.node('NonZero', ['positive'], ['at']),
      b.node('Transpose', ['at'], ['places'], { perm: [1, 0] }),
      b.node('GatherND', ['h', 'places'], ['values']),
      b.node('Reshape', ['values', 'shape'], ['column']),
      b.node('MatMul', ['column', 'w2'], ['y'], {}, 'second'),
    ],
    [
      b.floats('w1', [8, 12], b.noise(96, 1)),
      b.floats('w2', [1, 5], b.noise(5, 2)),
      b.floats('zero', [], [0]),
      b.ints('shape', [2], [-1, 1]),
    ],
  )

describe('models', () => {
  it.each(['packed', 'qdq', 'float'] as const)('in half precision are quantized, as %s', async (format) => {
    const model = net(
      [
        b.node('Cast', ['x'], ['x16'], { to: b.DataType.FLOAT16 }),
        b.node('MatMul', ['x16', 'w1'], ['h'], {}, 'first'),
        b.node('Relu', ['h'], ['r'], {}, 'relu'),
        b.node('MatMul', ['r', 'w2'], ['y16'], {}, 'second'),
        b.node('Cast', ['y16'], ['y'], { to: b.DataType.FLOAT }),
      ],
      [half('w1', [8, 64], 1), half('w2', [64, 5], 2)],
    )
    const { report } = await quantize(model, { format })
    expect(report.layers.map(({ bytesIn }) => bytesIn)).toEqual([2 * 8 * 64, 2 * 64 * 5])
    for (const { relativeError } of report.layers) expect(relativeError).toBeLessThan(0.2)
  })

  it('may hand out constants and what is no tensor', async () => {
    const model = twoLayers()
    model.graph!.initializer.push(b.floats('priors', [2], [1, 2]))
    model.graph!.node.push(b.node('SequenceConstruct', ['y', 'y'], ['list']))
    model.graph!.output.push(b.value('priors'), b.sequence('list'))
    const { report } = await quantize(model)
    expect(report.layers).toHaveLength(2)
  })

  it('with random nodes are loaded back, but not compared', async () => {
    const model = twoLayers()
    model.graph!.node.push(
      b.node('RandomNormalLike', ['y'], ['noise']),
      b.node('Add', ['y', 'noise'], ['disturbed']),
    )
    model.graph!.output.push(b.value('disturbed'))
    expect((await quantize(model)).report.layers).toHaveLength(2)
  })

  it('whose shapes follow from values are refused where the two networks differ, and can go around', async () => {
    await expect(quantize(counted(), { levels: 3 })).rejects.toMatchObject({
      code: 'UNSUPPORTED_MODEL',
      message: expect.stringMatching(
        /^layer 'second', its input 'column': expected the same shape .* exclude/,
      ),
    })
    const { report } = await quantize(counted(), { levels: 3, exclude: ['first'] })
    expect(report.layers.map(({ name }) => name)).toEqual(['second'])
  })

  it('with external data are as large as all their files', async () => {
    const model = twoLayers()
    const w1 = model.graph!.initializer[0]!
    const weights = w1.rawData!
    w1.rawData = new Uint8Array()
    w1.dataLocation = TensorProto_DataLocation.EXTERNAL
    w1.externalData = [create(StringStringEntryProtoSchema, { key: 'location', value: 'w.bin' })]
    const bytes = encodeModel(model).length
    const { report } = await quantize(model, { readExternalData: async () => weights })
    expect(report.bytesIn).toBe(bytes + weights.length)
  })

  it('with a sparse weight leave it, and say why', async () => {
    const model = twoLayers()
    const [w1] = model.graph!.initializer.splice(0, 1)
    model.graph!.sparseInitializer.push(
      create(SparseTensorProtoSchema, {
        dims: [8n, 12n],
        values: { ...w1!, dims: [2n], rawData: w1!.rawData!.slice(0, 8) },
        indices: b.ints('', [2], [3, 70]),
      }),
    )
    const { layers, skipped } = await planModel(encodeModel(model), {})
    expect(layers.map(({ name }) => name)).toEqual(['second'])
    expect(skipped).toContainEqual({ name: 'first', reason: 'its weight is stored as a sparse tensor' })
  })

  it('say which weights stay in the file because something else reads them', async () => {
    const tied = b.model(
      [
        b.node('Gather', ['emb', 'x'], ['h'], {}, 'embedding'),
        b.node('Transpose', ['emb'], ['head'], { perm: [1, 0] }),
        b.node('MatMul', ['h', 'head'], ['y'], {}, 'logits'),
      ],
      [b.floats('emb', [20, 8], b.noise(160, 1))],
      [b.value('x', b.DataType.INT64, ['n'])],
      ['y'],
    )
    const { notes } = await planModel(encodeModel(tied), {})
    expect(notes.map(({ code }) => code)).toEqual(['FLOAT_COPY_KEPT'])
    expect(notes.map(describeNote)).toEqual([
      `'emb': stays in the file as it is, too, since node 'embedding' reads it`,
    ])
    expect((await planModel(encodeModel(twoLayers()), {})).notes).toEqual([])
  })

  it('with a product that reads a vector take it as one sample', async () => {
    const model = net(
      [b.node('MatMul', ['w', 'x'], ['y'], {}, 'layer')],
      [b.floats('w', [5, 8], b.noise(40, 1))],
      ['y'],
      b.value('x', b.DataType.FLOAT, [8]),
    )
    const x = { type: 'float32' as const, dims: [8], data: b.noise(8, 2) }
    const { report } = await quantize(model, { calibration: [{ x }] })
    expect(report.layers[0]!.samples).toBe(1)
  })
})

describe('bias correction', () => {
  it('of a Gemm that reads its input transposed is that of the same Gemm behind a Transpose', async () => {
    const weights = [b.floats('w', [8, 5], b.noise(40, 1)), b.floats('c', [5], b.noise(5, 2))]
    const one = net([b.node('Gemm', ['x', 'w', 'c'], ['y'], { transA: 1 }, 'layer')], weights, ['y'])
    one.graph!.input[0] = b.value('x', b.DataType.FLOAT, [8, 'n'])
    const other = net(
      [
        b.node('Transpose', ['x'], ['t'], { perm: [1, 0] }),
        b.node('Gemm', ['t', 'w', 'c'], ['y'], {}, 'layer'),
      ],
      weights,
      ['y'],
    )
    other.graph!.input[0] = b.value('x', b.DataType.FLOAT, [8, 'n'])
    const x = { type: 'float32' as const, dims: [8, ROWS], data: b.noise(8 * ROWS, 3).map((v) => v + 0.5) }
    const outputs: ArrayLike<number>[] = []
    for (const model of [one, other]) {
      const { model: written } = await quantize(model, {
        calibration: [{ x }],
        levels: 3,
        biasCorrection: true,
      })
      const { y } = await b.run(written, { x: b.tensor(x.dims, x.data) })
      outputs.push(y!.data as Float32Array)
    }
    expect(b.relativeDifference(outputs[0]!, outputs[1]!)).toBeLessThan(1e-5)
  })
})

describe('data that does not fit', () => {
  it.each<[string, Feeds, RegExp]>([
    [
      'more samples than a fixed batch',
      rows(16, 8),
      /batch 1: expected \(1, 8\) of float32 for input 'x', got \(16, 8\)/,
    ],
    ['another width', rows(1, 7), /expected \(1, 8\) .* got \(1, 7\)/],
    [
      'another type',
      { x: { type: 'int32' as TensorType, dims: [1, 8], data: new Int32Array(8) } },
      /got \(1, 8\) of int32/,
    ],
    [
      'too few values',
      { x: { type: 'float32', dims: [1, 8], data: new Float32Array(7) } },
      /expected 8 values .* got 7/,
    ],
    ['none for an input', {}, /for input 'x', got none; there is nothing/],
  ])('is refused before anything runs: %s', async (_, feeds, words) => {
    const model = twoLayers()
    model.graph!.input[0] = b.value('x', b.DataType.FLOAT, [1, 8])
    const before = new Map(runner.runs)
    await expect(quantize(model, { calibration: [feeds] })).rejects.toThrow(words)
    await expect(quantize(model, { calibration: [feeds] })).rejects.toMatchObject({ code: 'INVALID_DATA' })
    expect(new Map(runner.runs)).toEqual(before)
  })

  it('is refused where there is no sample in it', async () => {
    await expect(quantize(twoLayers(), { calibration: [rows(0, 8)] })).rejects.toThrow(
      'calibration: expected at least one sample, got none',
    )
  })
})

describe('a run', () => {
  it('leaves no session of the runner open, done or failed or aborted', async () => {
    await quantize(twoLayers())
    expect(runner.sessions.open).toBe(0)
    const stop = new AbortController()
    const onProgress = (event: ProgressEvent): void => {
      if (event.type === 'layer-start' && event.name === 'second') stop.abort(new Error('enough'))
    }
    await expect(quantize(twoLayers(), { signal: stop.signal, onProgress })).rejects.toThrow('enough')
    expect(runner.sessions.open).toBe(0)
    await expect(quantize(counted(), { levels: 3 })).rejects.toThrow('same shape')
    expect(runner.sessions.open).toBe(0)
  })

  it('can be aborted while its data is read', async () => {
    const stop = new AbortController()
    let given = 0
    async function* slowly(): AsyncIterable<Feeds> {
      for (; given < 20; given++) {
        if (given === 2) stop.abort(new Error('enough'))
        await new Promise((resolve) => setTimeout(resolve, 1))
        yield rows(1, 8)
      }
    }
    await expect(quantize(twoLayers(), { calibration: slowly(), signal: stop.signal })).rejects.toThrow(
      'enough',
    )
    expect(given).toBe(2)
    await expect(quantize(twoLayers(), { signal: AbortSignal.abort(new Error('no')) })).rejects.toThrow('no')
  })

  it('whose weight is tied across depth tells of progress that only grows', async () => {
    const tied = net(
      [
        b.node('MatMul', ['x', 'w'], ['h'], {}, 'early'),
        b.node('Relu', ['h'], ['r'], {}, 'relu'),
        b.node('MatMul', ['r', 'w'], ['y'], {}, 'late'),
      ],
      [b.floats('w', [8, 8], b.noise(64, 1))],
    )
    const fractions: number[] = []
    const calibration = [rows(5, 8, 1), rows(5, 8, 2), rows(5, 8, 3)]
    await quantize(tied, {
      calibration,
      onProgress: (event) => event.type === 'progress' && fractions.push(event.fraction),
    })
    expect(fractions).toEqual(fractions.toSorted((a, b) => a - b))
    expect(fractions.at(-1)).toBe(1)
  })

  it('without calibration tells of each layer, too', async () => {
    const events: ProgressEvent[] = []
    await quantizeModel(encodeModel(twoLayers()), {
      ...{ runner, threads: 1, method: 'msq', radius: { rule: 'max' } },
      onProgress: (event) => events.push(event),
    })
    const types = events.map(({ type }) => type).filter((type) => type !== 'progress')
    expect(types).toEqual([...['plan', 'layer-start', 'layer-done', 'layer-start', 'layer-done', 'verify']])
  })

  it('with a budget that nothing fits says so before it runs anything, by the option’s name', async () => {
    const before = new Map(runner.runs)
    await expect(quantize(twoLayers(), { targetSize: 0.01 })).rejects.toThrow(
      /targetSize: expected at least 0\.\d+, which is what the smallest alphabets take/,
    )
    const levelsFor = [{ pattern: '*', levels: 255 }]
    await expect(quantize(twoLayers(), { targetBits: 2, levelsFor })).rejects.toThrow(
      /targetBits: expected at least 8, .*\(where levelsFor names no others\)/,
    )
    expect(new Map(runner.runs)).toEqual(before)
  })
})
