/**
 * Sequences, optionals and strings between layers: layers behind them are calibrated as in the same network without them, which
 * the tests write with tensors alone.
 */
import { create } from '@bufbuild/protobuf'
import {
  type ModelProto,
  type NodeProto,
  OperatorSetIdProtoSchema,
  type TensorProto,
  TensorProtoSchema,
} from 'onnx-buf'
import { beforeAll, expect, it } from 'vitest'
import { createOrtWebRunner } from '#src/calibration/onnxRuntime.js'
import type { Runner } from '#src/calibration/runner.js'
import { quantizeModel } from '#src/model/quantizeModel.js'
import { encodeModel } from '#src/onnx/model.js'
import * as b from '../onnx/build.js'

let runner: Runner
beforeAll(async () => {
  runner = await createOrtWebRunner()
})

const SAMPLES = 40
const WIDTH = 8
const layer = (input: string, name: string): NodeProto =>
  b.node('MatMul', [input, `w${name}`], [name], {}, name)
const weights = (inputs: Record<string, number>): TensorProto[] =>
  Object.entries(inputs).map(([name, rows], i) => b.noisy(`w${name}`, [rows, WIDTH], i + 1))

const net = (nodes: NodeProto[], constants: TensorProto[]): ModelProto => {
  const model = b.model(nodes, constants, [b.value('x', b.DataType.FLOAT, ['n', WIDTH])], ['z'], {
    opset: 18,
  })
  model.opsetImport.push(create(OperatorSetIdProtoSchema, { domain: 'ai.onnx.ml', version: 4n }))
  return model
}

const words = (name: string): TensorProto =>
  create(TensorProtoSchema, {
    name,
    dims: [2n],
    dataType: b.DataType.STRING,
    stringData: ['0', '1'].map((text) => new TextEncoder().encode(text)),
  })
const zero = b.ints('zero', [], [0])
const loopBody = b.graph(
  [b.node('SequenceInsert', ['carried', 'y'], ['longer']), b.node('Identity', ['go'], ['on'])],
  [],
  [b.value('i', b.DataType.INT64, []), b.value('go', b.DataType.BOOL, []), b.sequence('carried')],
  [b.value('on', b.DataType.BOOL, []), b.sequence('longer')],
)
const join = (from: string, to: string): NodeProto => b.node('ConcatFromSequence', [from], [to], { axis: 1 })

/** A network with such values, and the same with tensors alone. */
const PAIRS: Record<string, readonly [ModelProto, ModelProto]> = {
  'a sequence that grows from layer to layer': [
    net(
      [
        b.node('SequenceConstruct', ['x'], ['s1']),
        b.node('SequenceAt', ['s1', 'zero'], ['x2']),
        layer('x2', 'y'),
        b.node('SequenceInsert', ['s1', 'y'], ['s2']),
        join('s2', 'j2'),
        layer('j2', 'v'),
        b.node('SequenceInsert', ['s2', 'v'], ['s3']),
        join('s3', 'j3'),
        layer('j3', 'z'),
      ],
      [zero, ...weights({ y: WIDTH, v: 2 * WIDTH, z: 3 * WIDTH })],
    ),
    net(
      [
        layer('x', 'y'),
        b.node('Concat', ['x', 'y'], ['j2'], { axis: 1 }),
        layer('j2', 'v'),
        b.node('Concat', ['x', 'y', 'v'], ['j3'], { axis: 1 }),
        layer('j3', 'z'),
      ],
      weights({ y: WIDTH, v: 2 * WIDTH, z: 3 * WIDTH }),
    ),
  ],
  'a sequence that a loop makes': [
    net(
      [
        layer('x', 'y'),
        b.node('SequenceConstruct', ['x'], ['s1']),
        b.node('Loop', ['two', 'true', 's1'], ['s2'], { body: loopBody }),
        layer('y', 'v'),
        b.node('SequenceInsert', ['s2', 'v'], ['s3']),
        join('s3', 'j'),
        layer('j', 'z'),
      ],
      [
        b.ints('two', [], [2]),
        create(TensorProtoSchema, { name: 'true', dataType: b.DataType.BOOL, int32Data: [1] }),
        ...weights({ y: WIDTH, v: WIDTH, z: 4 * WIDTH }),
      ],
    ),
    net(
      [
        layer('x', 'y'),
        layer('y', 'v'),
        b.node('Concat', ['x', 'y', 'y', 'v'], ['j'], { axis: 1 }),
        layer('j', 'z'),
      ],
      weights({ y: WIDTH, v: WIDTH, z: 4 * WIDTH }),
    ),
  ],
  'an optional': [
    net(
      [
        layer('x', 'y'),
        b.node('Optional', ['y'], ['maybe']),
        layer('y', 'v'),
        b.node('OptionalGetElement', ['maybe'], ['y2']),
        b.node('Add', ['y2', 'v'], ['sum']),
        layer('sum', 'z'),
      ],
      weights({ y: WIDTH, v: WIDTH, z: WIDTH }),
    ),
    net(
      [layer('x', 'y'), layer('y', 'v'), b.node('Add', ['y', 'v'], ['sum']), layer('sum', 'z')],
      weights({ y: WIDTH, v: WIDTH, z: WIDTH }),
    ),
  ],
  strings: [
    net(
      [
        b.node('Greater', ['x', 'limit'], ['positive']),
        b.node('Cast', ['positive'], ['index'], { to: b.DataType.INT64 }),
        b.node('Gather', ['words', 'index'], ['chosen']),
        layer('x', 'y'),
        b.node('Cast', ['chosen'], ['numbers'], { to: b.DataType.FLOAT }),
        b.node('Add', ['numbers', 'y'], ['sum']),
        layer('sum', 'z'),
      ],
      [b.floats('limit', [], [0]), words('words'), ...weights({ y: WIDTH, z: WIDTH })],
    ),
    net(
      [
        b.node('Greater', ['x', 'limit'], ['positive']),
        b.node('Cast', ['positive'], ['numbers'], { to: b.DataType.FLOAT }),
        layer('x', 'y'),
        b.node('Add', ['numbers', 'y'], ['sum']),
        layer('sum', 'z'),
      ],
      [b.floats('limit', [], [0]), ...weights({ y: WIDTH, z: WIDTH })],
    ),
  ],
}

const rows = (samples: number, seed: number) => b.noise(samples * WIDTH, seed)
const quantize = (model: ModelProto) =>
  quantizeModel(encodeModel(model), {
    calibration: [16, SAMPLES - 16].map((samples, seed) => ({
      x: { type: 'float32', dims: [samples, WIDTH], data: rows(samples, seed + 5) },
    })),
    runner,
    threads: 1,
    levels: 7,
  })

it.each(Object.entries(PAIRS))('%s between layers changes nothing for them', async (_, [model, plain]) => {
  const [got, expected] = [await quantize(model), await quantize(plain)]
  const errors = ({ report }: typeof got) =>
    report.layers.map(({ name, relativeError }) => [name, relativeError])
  expect(errors(got)).toEqual(errors(expected))
  expect(got.report.layers.length).toBeGreaterThan(1)
  const x = b.tensor([4, WIDTH], rows(4, 9))
  const [z, plainZ] = [await b.run(got.model, { x }), await b.run(expected.model, { x })]
  expect(b.relativeDifference(z.z!.data as Float32Array, plainZ.z!.data as Float32Array)).toBeLessThan(1e-6)
})
