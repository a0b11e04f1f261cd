import { fromBinary, toBinary } from '@bufbuild/protobuf'
import fc from 'fast-check'
import { ModelProtoSchema } from 'onnx-buf'
import { describe, expect, it } from 'vitest'
import { GpfqError } from '#src/errors.js'
import { indexGraph } from '#src/onnx/graph.js'
import { findLayers } from '#src/onnx/layers.js'
import { decodeModel, encodeModel, opsetOf, withOpset } from '#src/onnx/model.js'
import { planStages } from '#src/onnx/stages.js'
import * as b from './build.js'

const small = () =>
  b.model([b.node('MatMul', ['x', 'w'], ['y'])], [b.floats('w', [2, 2], [1, 2, 3, 4])], ['x'], ['y'])

function codeOf(action: () => unknown): string | undefined {
  try {
    action()
  } catch (error) {
    return error instanceof GpfqError ? error.code : `not a GpfqError: ${error}`
  }
  return undefined
}

describe('decodeModel', () => {
  it('gives back the very bytes it read', () => {
    const bytes = toBinary(ModelProtoSchema, small())
    expect(encodeModel(decodeModel(bytes))).toEqual(bytes)
  })

  it('keeps unknown fields of the model, its nodes and its tensors', () => {
    const field = (no: number) => ({ no, wireType: 2, data: Uint8Array.of(3, 7, 8, 9) })
    const model = small()
    model.$unknown = [field(1000)]
    model.graph!.node[0]!.$unknown = [field(1001)]
    model.graph!.initializer[0]!.$unknown = [field(1002)]
    const again = fromBinary(ModelProtoSchema, encodeModel(decodeModel(encodeModel(model))))
    expect(again.$unknown).toEqual(model.$unknown)
    expect(again.graph!.node[0]!.$unknown?.[0]?.no).toBe(1001)
    expect(again.graph!.initializer[0]!.$unknown?.[0]?.no).toBe(1002)
  })

  it('reads weights as views of the file', () => {
    const bytes = encodeModel(small())
    expect(decodeModel(bytes).graph!.initializer[0]!.rawData.buffer).toBe(bytes.buffer)
  })

  it('refuses what is not a model, and says what it got', () => {
    expect(() => decodeModel(new Uint8Array())).toThrow(/expected the bytes of an ONNX model, got 0 bytes/)
    expect(() => decodeModel(Uint8Array.of(0x1f, 0x8b, 8, 0))).toThrow(/gzip/)
    expect(() => decodeModel(new TextEncoder().encode('version https://git-lfs'))).toThrow(/Git LFS/)
    expect(codeOf(() => decodeModel(new TextEncoder().encode('hello, world')))).toBe('INVALID_MODEL')
    const noGraph = small()
    delete (noGraph as { graph?: unknown }).graph
    expect(codeOf(() => decodeModel(encodeModel(noGraph)))).toBe('INVALID_MODEL')
  })

  it('refuses every truncation of a model', () => {
    const bytes = encodeModel(small())
    for (let length = 0; length < bytes.length; length++) {
      const code = codeOf(() => findLayers(indexGraph(decodeModel(bytes.subarray(0, length)))))
      // Cut between two fields of the model it may still be a whole one: only without its opset it is not.
      if (code !== undefined) expect(code).toBe('INVALID_MODEL')
      else expect(opsetOf(decodeModel(bytes.subarray(0, length)))).toBe(13)
    }
  })

  it('refuses opsets before 7', () => {
    expect(codeOf(() => decodeModel(encodeModel(withOpset(small(), '', 6))))).toBe('UNSUPPORTED_MODEL')
    expect(codeOf(() => decodeModel(encodeModel(withOpset(small(), '', 7))))).toBeUndefined()
  })

  it('throws nothing but GpfqErrors for damaged bytes, and never changes them', () => {
    const original = encodeModel(
      b.model(
        [
          b.node('Transpose', ['w'], ['t'], { perm: [1, 0] }),
          b.node('Reshape', ['t', 's'], ['r']),
          b.node('MatMul', ['x', 'r'], ['m']),
          b.node('Conv', ['i', 'k'], ['c'], { strides: [1, 1], pads: [0, 0, 0, 0] }),
        ],
        [
          b.floats('w', [2, 3], b.noise(6)),
          b.ints('s', [2], [3, 2]),
          b.floats('k', [1, 2, 2, 2], b.noise(8)),
        ],
        ['x', 'i'],
        ['m', 'c'],
      ),
    )
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(original.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        (flips) => {
          const bytes = original.slice()
          for (const [at, value] of flips) bytes[at] = value
          const before = bytes.slice()
          const code = codeOf(() => {
            const graph = indexGraph(decodeModel(bytes))
            planStages(graph, findLayers(graph).layers)
          })
          expect(code ?? 'INVALID_MODEL').toMatch(/^(INVALID|UNSUPPORTED)_MODEL$/)
          expect(bytes).toEqual(before)
        },
      ),
      { numRuns: 1500, seed: 7 },
    )
  })
})

describe.skipIf(!b.hasAssets)('real models', () => {
  for (const name of Object.keys(b.REAL_MODELS) as b.RealModel[])
    it(`are written byte for byte as read: ${name}`, () => {
      const bytes = b.realModel(name)
      expect(Buffer.compare(encodeModel(decodeModel(bytes)), bytes)).toBe(0)
    })
})
