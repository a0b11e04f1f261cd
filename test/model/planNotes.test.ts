/** What a plan and an inspection say of what is not quantized, and that planning can be interrupted. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { create } from '@bufbuild/protobuf'
import { FunctionProtoSchema, type ModelProto, SparseTensorProtoSchema } from 'onnx-buf'
import { describe, expect, it } from 'vitest'
import { inspect } from '#src/cli/inspect.js'
import { planModel } from '#src/model/quantizeModel.js'
import { encodeModel } from '#src/onnx/model.js'
import { openModel } from '#src/onnx/openModel.js'
import * as b from '../onnx/build.js'

const rows = () => b.value('x', b.DataType.FLOAT, ['n', 8])
const square = (name: string, seed: number) => b.noisy(name, [8, 8], seed)
const plan = (model: ModelProto) => planModel(encodeModel(model), {})
const signal = new AbortController().signal

describe('a plan notes', () => {
  it('weights that a caller could have replaced', async () => {
    const model = (irVersion: number) =>
      b.model([b.node('MatMul', ['x', 'w'], ['y'])], [square('w', 1)], [rows(), 'w'], ['y'], { irVersion })
    expect((await plan(model(8))).notes).toEqual([
      {
        code: 'WEIGHTS_NOT_INPUTS',
        place: null,
        text: "inputs of the model with these names ('w') are gone: their weights are constants now",
      },
    ])
    expect((await plan(model(3))).notes).toEqual([])
  })

  it('BatchNormalizations that stay, with a reason for each, and at most five of them', async () => {
    const model = b.model(
      [
        b.node('Gemm', ['x', 'w'], ['h'], {}, 'g'),
        b.node('Relu', ['h'], ['r0']),
        ...Array.from({ length: 7 }, (_, i) =>
          b.node('BatchNormalization', [`r${i}`, 's', 's', 's', 's'], [`r${i + 1}`], {}, `bn${i}`),
        ),
      ],
      [square('w', 1), b.floats('s', [8], new Array(8).fill(1))],
      [rows()],
      ['r7'],
    )
    const [note, ...others] = (await plan(model)).notes
    expect(others).toEqual([])
    expect(note).toMatchObject({ code: 'BATCH_NORMS_KEPT', place: null })
    expect(note!.text).toMatch(/: 'bn0': no Conv or Gemm is directly before it; 'bn1'.*; and 2 more$/)
  })

  it.each([1e-39, 1e37])('weights at the ends of float32: %d', async (size) => {
    const values = b.noise(64, 1).map((value) => value * size)
    const model = b.model(
      [b.node('MatMul', ['x', 'w'], ['y'], {}, 'm')],
      [b.floats('w', [8, 8], values)],
      [rows()],
      ['y'],
    )
    expect((await plan(model)).notes).toMatchObject([{ code: 'WEIGHTS_EXTREME', place: "layer 'm'" }])
  })
})

describe('NOTHING_TO_QUANTIZE says why', () => {
  it('for nodes and for tensors, the largest first, in bounded length', async () => {
    const other = Object.assign(b.node('FusedGemm', ['x', 'w0'], ['h0'], {}, 'fused'), {
      domain: 'com.microsoft',
    })
    const model = b.model(
      [
        other,
        ...Array.from({ length: 50 }, (_, i) =>
          b.node('Mul', [`h${i}`, `k${i}`], [`h${i + 1}`], {}, `mul${i}`),
        ),
      ],
      [square('w0', 1), ...Array.from({ length: 50 }, (_, i) => b.noisy(`k${i}`, [8], i + 1))],
      [rows()],
      ['h50'],
    )
    const error: unknown = await plan(model).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'NOTHING_TO_QUANTIZE' })
    expect(String(error)).toMatch(/none of 1856 bytes .*'fused': com.microsoft.FusedGemm is not quantized/)
    expect(String(error)).toMatch(/; and 4\d more\)$/)
    expect(String(error).length).toBeLessThan(2000)
  })
})

/** The float bytes of a file, counted in the simplest way: every tensor of it, wherever it is. */
function floatBytes(value: unknown): number {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return 0
  const own =
    '$typeName' in value && value.$typeName === 'onnx.TensorProto' && 'dims' in value && 'dataType' in value
      ? ({ [b.DataType.FLOAT]: 4, [b.DataType.DOUBLE]: 8, [b.DataType.FLOAT16]: 2 }[Number(value.dataType)] ??
          0) * (Array.isArray(value.dims) ? value.dims.reduce((size, dim) => size * Number(dim), 1) : 0)
      : 0
  return Object.values(value).reduce((sum: number, inner: unknown) => sum + floatBytes(inner), own)
}

function everywhere(): ModelProto {
  const inner = b.graph(
    [b.node('Constant', [], ['k'], { value: square('', 7) }), b.node('MatMul', ['h', 'k'], ['i'])],
    [],
    [],
    ['i'],
  )
  const outer = b.graph(
    [
      b.node('MatMul', ['h', 'own'], ['o'], {}),
      b.node('If', ['c'], ['j'], { then_branch: inner, else_branch: inner }),
    ],
    [square('own', 6)],
    [],
    ['j'],
  )
  const called = Object.assign(b.node('Own', ['h'], ['p'], {}, 'call'), { domain: 'own' })
  const model = b.model(
    [
      b.node('MatMul', ['x', 'w'], ['m']),
      b.node('Add', ['m', 'bias'], ['h']),
      b.node('Gemm', ['h', 'v', 'c0'], ['g'], {}, 'gemm'),
      b.node('BatchNormalization', ['g', 's', 's', 's', 's'], ['n'], {}, 'bn'),
      b.node('If', ['c'], ['q'], { then_branch: outer, else_branch: outer }, 'if'),
      called,
      b.node('Gather', ['table', 'ids'], ['e'], {}, 'embed'),
      b.node('Sum', ['n', 'q', 'p', 'e', 'sparse'], ['y'], {}, 'sum'),
    ],
    [
      ...[square('w', 1), square('v', 2), b.noisy('table', [5, 8], 3)],
      ...[
        b.noisy('bias', [8], 4),
        b.noisy('c0', [8], 5),
        b.floats('s', [8], new Array(8).fill(1)),
        square('idle', 9),
      ],
    ],
    [rows(), b.value('c', b.DataType.BOOL, []), b.value('ids', b.DataType.INT64, [1])],
    ['y'],
  )
  model.functions = [
    create(FunctionProtoSchema, {
      ...{ name: 'Own', domain: 'own', input: ['a'], output: ['b'] },
      node: [b.node('Constant', [], ['z'], { value: square('', 8) }), b.node('MatMul', ['a', 'z'], ['b'])],
    }),
  ]
  model.graph!.sparseInitializer = [
    create(SparseTensorProtoSchema, {
      values: b.floats('sparse', [1], [2]),
      indices: b.ints('', [1], [3]),
      dims: [8n],
    }),
  ]
  return model
}

describe('an inspection accounts for all float bytes', () => {
  it('of initializers, bodies, functions and constants, with a reason for what stays', async () => {
    const model = everywhere()
    const { floats } = await inspect('model.onnx', encodeModel(model), signal)
    const reasons = new Map(floats.kept.map(({ place, reason }) => [place, reason]))
    expect(floats.bytes).toBe(floatBytes(model))
    expect(floats.quantized + floats.kept.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(floats.bytes)
    // w, v, own in each branch, and k in each of the branches inside these.
    expect(floats.quantized).toBe(8 * 256)
    expect(reasons.get("'idle'")).toBe('nothing reads it')
    expect(reasons.get("'table'")).toBe("'embed': an embedding table stays float")
    expect(reasons.get("'z' in the function own.Own")).toMatch(/inside the function own.Own/)
    expect(reasons.get("'s'")).toBe('it is folded into the weights before it')
    expect(reasons.get("'bias'")).toBe("Add 'h_node' reads it")
    expect(reasons.get("'sparse'")).toBe('it is sparse')
  })

  const cases = fileURLToPath(new URL('../../../shared/cases/', import.meta.url))
  const files = ['models', 'reports'].flatMap((folder) =>
    existsSync(cases + folder)
      ? readdirSync(cases + folder)
          .map((name) => `${cases}${folder}/${name}/model.onnx`)
          .filter(existsSync)
      : [],
  )
  it.skipIf(files.length === 0)('of every case', async () => {
    for (const file of files) {
      const bytes = new Uint8Array(readFileSync(file))
      const { floats } = await inspect(file, bytes, signal)
      expect(floats.bytes, file).toBe(floatBytes((await openModel(bytes)).proto))
    }
  })
})

describe('planning', () => {
  const large = (): Uint8Array => {
    const count = 3000
    return encodeModel(
      b.model(
        Array.from({ length: count }, (_, i) =>
          b.node('MatMul', [i === 0 ? 'x' : `m${i - 1}`, `w${i}`], [`m${i}`]),
        ),
        Array.from({ length: count }, (_, i) => b.noisy(`w${i}`, [8, 8], i + 1)),
        [rows()],
        [`m${count - 1}`],
      ),
    )
  }

  it('returns to the event loop, and ends when it is aborted there', async () => {
    const controller = new AbortController()
    setImmediate(() => controller.abort(new Error('enough')))
    await expect(planModel(large(), { signal: controller.signal })).rejects.toThrow('enough')
    await expect(inspect('model.onnx', large(), controller.signal)).rejects.toThrow('enough')
  })
})
