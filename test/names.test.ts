/**
 * Names are data: a model may call its operators, nodes, tensors, inputs and outputs as JavaScript calls properties of
 * objects, or as gpfq calls what it adds. Nothing of it changes what is computed.
 */
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { ModelProto } from 'onnx-buf'
import { beforeAll, describe, expect, it } from 'vitest'
import { createOrtWebRunner } from '#src/calibration/onnxRuntime.js'
import type { Runner } from '#src/calibration/runner.js'
import { compareModels } from '#src/model/compare.js'
import { planModel, quantizeModel } from '#src/model/quantizeModel.js'
import { encodeModel } from '#src/onnx/model.js'
import { whyNotRaise } from '#src/onnx/opset.js'
import { namedTensors } from '#src/tensor/named.js'
import type { Feeds } from '#src/tensor/tensor.js'
import type { PlanModelOptions } from '../src/options.js'
import * as b from './onnx/build.js'

let runner: Runner
beforeAll(async () => {
  runner = await createOrtWebRunner({ threads: 1 })
})

const SAMPLES = 48
const feeds = (input: string): Feeds =>
  namedTensors([[input, { type: 'float32', dims: [SAMPLES, 16], data: b.noise(SAMPLES * 16, 3) }]])

interface Names {
  readonly x: string
  readonly a: string
  readonly r: string
  readonly s: string
  readonly y: string
  readonly w1: string
  readonly w2: string
  readonly b2: string
  readonly n1: string
  readonly n2: string
}

const PLAIN: Names = {
  x: 'x',
  a: 'a',
  r: 'r',
  s: 's',
  y: 'y',
  w1: 'w1',
  w2: 'w2',
  b2: 'b2',
  n1: 'n1',
  n2: 'n2',
}

function net({ x, a, r, s, y, w1, w2, b2, n1, n2 }: Names): ModelProto {
  return b.model(
    [
      b.node('MatMul', [x, w1], [a], {}, n1),
      b.node('Relu', [a], [r], {}, ''),
      b.node('MatMul', [r, w2], [s], {}, n2),
      b.node('Add', [s, b2], [y], {}, ''),
    ],
    [b.noisy(w1, [16, 400], 1), b.noisy(w2, [400, 10], 2), b.noisy(b2, [10], 4)],
    [b.value(x, b.DataType.FLOAT, ['n', 16])],
    [b.value(y, b.DataType.FLOAT, ['n', 10])],
  )
}

const OPTIONS: Readonly<Record<string, PlanModelOptions>> = {
  packed: {},
  qdq: { format: 'qdq' },
  nbits: { format: 'nbits' },
  float: { format: 'float', biasCorrection: true },
  integers: { activations: { bits: 8, for: [{ pattern: '*', kernel: 'int8' }] } },
  'integers as qdq': { activations: { bits: 8, for: [{ pattern: '*', kernel: 'int8' }] }, format: 'qdq' },
}

const errorsOf = async (model: ModelProto, input: string, options: PlanModelOptions) => {
  const { report, model: written } = await quantizeModel(encodeModel(model), {
    ...options,
    ...{ calibration: [feeds(input)], runner, threads: 1 },
  })
  return { errors: report.layers.map(({ relativeError }) => relativeError), written }
}

const SPECIAL: Readonly<Record<string, Names>> = {
  'of properties of every object': {
    ...{ x: 'constructor', a: '__proto__', r: 'toString', s: 'valueOf', y: 'hasOwnProperty' },
    ...{
      w1: 'isPrototypeOf',
      w2: 'toLocaleString',
      b2: '__defineGetter__',
      n1: '__proto__',
      n2: 'constructor',
    },
  },
  'of weights and inputs that are __proto__': { ...PLAIN, x: '__proto__', w1: 'then', w2: 'constructor' },
  'that segments would take': {
    ...PLAIN,
    a: 'x:rounded',
    r: 'w1:n1:quantized',
    s: 'r:rounded',
    w1: 'w',
    n1: 'n',
  },
  'that written models would take': {
    ...{
      x: 'q:0',
      a: 'gpfq:0',
      r: 'q:1',
      s: 'gpfq:1',
      y: 'y',
      w1: 'gpfq:zero:7',
      w2: 'w1:codes',
      b2: 's:bias',
    },
    ...{ n1: 'q:2', n2: 'gpfq:digits:15' },
  },
}

describe('names', () => {
  for (const [kind, names] of Object.entries(SPECIAL))
    it.each(Object.keys(OPTIONS))(`${kind} change nothing, %s`, async (how) => {
      const options = OPTIONS[how]!
      const [plain, special] = [
        await errorsOf(net(PLAIN), 'x', options),
        await errorsOf(net(names), names.x, options),
      ]
      expect(special.errors).toEqual(plain.errors)
      const { outputs } = await compareModels({
        runner,
        float: encodeModel(net(names)),
        quantized: special.written,
        feeds: [feeds(names.x)],
        samples: SAMPLES,
      })
      expect(outputs[0]?.agreement).toBeGreaterThan(0.5)
    })

  it('of operators are looked up among operators alone', async () => {
    for (const opType of ['constructor', '__proto__', 'toString', 'hasOwnProperty']) {
      const model = net(PLAIN)
      model.graph!.node[1]!.opType = opType
      expect(whyNotRaise(model, 21)).toBe(`${opType} means something else there`)
      const { layers, skipped } = await planModel(encodeModel(model), {
        format: 'qdq',
        activations: { bits: 8 },
      })
      expect(layers).toHaveLength(2)
      expect(skipped).toEqual([])
    }
  })

  it('of inputs are not found where nothing was given', async () => {
    const model = net({ ...PLAIN, x: 'constructor' })
    await expect(errorsOf(model, 'x', {})).rejects.toMatchObject({ got: 'none; there is x' })
  })

  it('that ONNX Runtime cannot return are refused in words', async () => {
    await expect(planModel(encodeModel(net({ ...PLAIN, y: '__proto__' })), {})).rejects.toMatchObject({
      code: 'UNSUPPORTED_MODEL',
      place: "output '__proto__'",
    })
  })
})

const cases = fileURLToPath(new URL('../../shared/cases/onnx/', import.meta.url))
describe.skipIf(!existsSync(cases))('the cases', () => {
  it.each(['proto', 'protomid', 'protow'])('%s is quantized', async (name) => {
    const { report } = await quantizeModel(new Uint8Array(readFileSync(`${cases}${name}.onnx`)), {
      ...{ calibration: [feeds('x')], runner, threads: 1 },
    })
    expect(report.layers).toHaveLength(2)
  })
})
