/** Models that are quantized already, given by mistake: one sentence asks for the float model, whoever wrote them. */
import { create } from '@bufbuild/protobuf'
import {
  type ModelProto,
  type NodeProto,
  OperatorSetIdProtoSchema,
  type TensorProto,
  TensorProtoSchema,
} from 'onnx-buf'
import { beforeAll, describe, expect, it } from 'vitest'
import { createOrtWebRunner } from '#src/calibration/onnxRuntime.js'
import type { Runner } from '#src/calibration/runner.js'
import { planModel, quantizeModel } from '#src/model/quantizeModel.js'
import { encodeModel } from '#src/onnx/model.js'
import * as b from '../onnx/build.js'

let runner: Runner
beforeAll(async () => {
  runner = await createOrtWebRunner()
})

const int8 = (name: string, dims: number[]): TensorProto =>
  create(TensorProtoSchema, {
    name,
    dims: dims.map(BigInt),
    dataType: b.DataType.INT8,
    rawData: new Uint8Array(dims.reduce((a, d) => a * d, 1)).fill(3),
  })
const ofMicrosoft = (node: NodeProto): NodeProto => Object.assign(node, { domain: 'com.microsoft' })

/** A model of another tool; `more` adds a float layer. */
function foreign(nodes: NodeProto[], constants: TensorProto[], more = false): Uint8Array {
  const last = more ? [b.node('MatMul', ['x', 'w'], ['z'], {}, 'float')] : []
  const model = b.model(
    [...nodes, ...last],
    [...constants, ...(more ? [b.noisy('w', [8, 4], 1)] : [])],
    [b.value('x', b.DataType.FLOAT, ['n', 8])],
    more ? ['y', 'z'] : ['y'],
  )
  model.opsetImport.push(create(OperatorSetIdProtoSchema, { domain: 'com.microsoft', version: 1n }))
  return encodeModel(model)
}

const FOREIGN: Record<string, readonly [NodeProto[], TensorProto[], string]> = {
  'weights as integers': [
    [
      b.node('DequantizeLinear', ['q1', 's'], ['d1']),
      b.node('MatMul', ['x', 'd1'], ['h']),
      b.node('DequantizeLinear', ['q2', 's'], ['d2']),
      b.node('MatMul', ['h', 'd2'], ['y']),
    ],
    [int8('q1', [8, 8]), int8('q2', [8, 8]), b.floats('s', [], [0.1])],
    '2 DequantizeLinear',
  ],
  'ranges found at run': [
    [
      b.node('DynamicQuantizeLinear', ['x'], ['xq', 'xs', 'xz']),
      b.node('MatMulInteger', ['xq', 'q', 'xz'], ['i']),
      b.node('Cast', ['i'], ['f'], { to: b.DataType.FLOAT }),
      b.node('Mul', ['f', 'xs'], ['y']),
    ],
    [int8('q', [8, 8])],
    '1 MatMulInteger',
  ],
  'an operator of com.microsoft': [
    [ofMicrosoft(b.node('MatMulNBits', ['x', 'b', 's'], ['y'], { K: 8, N: 1, bits: 4, block_size: 16 }))],
    [int8('b', [1, 1, 8]), b.floats('s', [1], [1])],
    '1 MatMulNBits',
  ],
}

describe.each(Object.entries(FOREIGN))('a model with %s', (_, [nodes, constants, counts]) => {
  it('is refused in one sentence where nothing is left', async () => {
    await expect(planModel(foreign(nodes, constants), {})).rejects.toMatchObject({
      code: 'NOTHING_TO_QUANTIZE',
      message: `model: it is quantized already (${counts}); give the float model that it was made from`,
    })
  })

  it('gets a note where layers are left', async () => {
    const { notes, layers } = await planModel(foreign(nodes, constants, true), {})
    expect(layers.map(({ name }) => name)).toEqual(['float'])
    expect(notes).toEqual([
      {
        code: 'QUANTIZED_ALREADY',
        place: 'model',
        text: `it is quantized already (${counts}); give the float model that it was made from`,
      },
    ])
  })
})

const float = (): ModelProto =>
  b.model(
    [b.node('MatMul', ['x', 'w1'], ['h'], {}, 'first'), b.node('MatMul', ['h', 'w2'], ['y'], {}, 'second')],
    [b.noisy('w1', [8, 64], 1), b.noisy('w2', [64, 8], 2)],
    [b.value('x', b.DataType.FLOAT, ['n', 8])],
    ['y'],
  )

describe.each(['packed', 'qdq', 'nbits', 'float'] as const)('what gpfq wrote as %s', (format) => {
  const write = async (exclude: readonly string[] = []) =>
    (
      await quantizeModel(encodeModel(float()), {
        ...{ runner, format, exclude, threads: 1 },
        ...{ method: 'msq', radius: { rule: 'max' } },
      })
    ).model

  it('is known as that', async () => {
    const planning = planModel(await write(['second']), {})
    const text = expect.stringMatching(/^gpfq wrote it, so it is quantized already/)
    expect((await planning).notes).toMatchObject([{ code: 'QUANTIZED_ALREADY', text }])
    if (format === 'float') return // its weights look as before
    await expect(planModel(await write(), {})).rejects.toMatchObject({
      message: 'model: gpfq wrote it, so it is quantized already; give the float model that it was made from',
    })
  })
})

it('says nothing of float models', async () => {
  const { notes, floats } = await planModel(encodeModel(float()), {})
  expect(notes).toEqual([])
  expect(floats).toEqual({ bytes: 2 * 4 * 8 * 64, quantized: 2 * 4 * 8 * 64, kept: [] })
})
