import fc from 'fast-check'
import type { ModelProto, NodeProto, TensorProto } from 'onnx-buf'
import { describe, expect, it } from 'vitest'
import { foldBatchNorms } from '#src/onnx/foldBatchNorm.js'
import { decodeModel, encodeModel } from '#src/onnx/model.js'
import * as b from './build.js'

function batchNorm(
  input: string,
  output: string,
  channels: number,
  seed: number,
  attributes = {},
): [NodeProto, TensorProto[]] {
  const names = ['gamma', 'beta', 'mean', 'var'].map((part) => `${output}_${part}`)
  const tensors = names.map((name, i) => {
    const values = b.noise(channels, seed + i)
    return b.floats(name, [channels], i === 3 ? values.map((v) => v * v + 0.1) : values)
  })
  return [b.node('BatchNormalization', [input, ...names], [output], attributes), tensors]
}

async function outputs(model: ModelProto, dims: number[], seed = 9): Promise<Float32Array> {
  const x = b.tensor(
    dims,
    b.noise(
      dims.reduce((p, d) => p * d, 1),
      seed,
    ),
  )
  return (await b.run(encodeModel(model), { x })).y!.data as Float32Array
}

const [bn, bnTensors] = batchNorm('c', 'y', 4, 20)
const conv = (extra: NodeProto[] = [], out: string[] = ['y']) =>
  b.model(
    [b.node('Conv', ['x', 'w'], ['c']), bn, ...extra],
    [b.floats('w', [4, 3, 2, 2], b.noise(48)), ...bnTensors],
    ['x'],
    out,
  )

describe('foldBatchNorms', () => {
  it('folds into convolutions and Gemms of every kind without changing what they compute', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom('Conv', 'Depthwise', 'Conv1d', 'Gemm'),
        fc.boolean(),
        fc.constantFrom(0, 1),
        fc.constantFrom(1, 0.5),
        fc.constantFrom(1, 2, 0),
        fc.constantFrom('[N]', '[1,N]', '[1]', '[]'),
        fc.integer({ min: 1, max: 1000 }),
        async (op, bias, transB, alpha, beta, biasShape, seed) => {
          const channels = 4
          const [norm, tensors] = batchNorm('c', 'y', channels, seed)
          const dims = {
            Conv: [4, 3, 2, 2],
            Depthwise: [4, 1, 3, 3],
            Conv1d: [4, 3, 2],
            Gemm: transB ? [4, 5] : [5, 4],
          }[op]
          const x = { Conv: [2, 3, 4, 4], Depthwise: [2, 4, 4, 4], Conv1d: [2, 3, 5], Gemm: [3, 5] }[op]
          const shape = op !== 'Gemm' ? [4] : { '[N]': [4], '[1,N]': [1, 4], '[1]': [1], '[]': [] }[biasShape]
          const node =
            op === 'Gemm'
              ? b.node('Gemm', ['x', 'w', ...(bias ? ['b'] : [])], ['c'], {
                  transB,
                  alpha: { float: alpha },
                  beta: { float: beta },
                })
              : b.node('Conv', ['x', 'w', ...(bias ? ['b'] : [])], ['c'], {
                  group: op === 'Depthwise' ? 4 : 1,
                })
          const count = dims.reduce((p, d) => p * d, 1)
          const initializers = [b.floats('w', dims, b.noise(count, seed)), ...tensors]
          if (bias)
            initializers.push(
              b.floats(
                'b',
                shape,
                b.noise(
                  shape.reduce((p, d) => p * d, 1),
                  seed + 9,
                ),
              ),
            )
          const model = b.model([node, norm], initializers, ['x'], ['y'])
          const before = encodeModel(model)
          const { model: folded, folded: names } = foldBatchNorms(model)
          expect(names).toEqual(['y_node'])
          expect(folded.graph!.node.map(({ opType }) => opType)).toEqual([op === 'Gemm' ? 'Gemm' : 'Conv'])
          expect(folded.graph!.initializer).toHaveLength(2)
          expect(encodeModel(model)).toEqual(before)
          expect(b.relativeDifference(await outputs(folded, x), await outputs(model, x))).toBeLessThan(1e-5)
        },
      ),
      { numRuns: 100, seed: 2 },
    )
  })

  it('folds a weight that arrives through a Transpose', async () => {
    const [norm, tensors] = batchNorm('c', 'y', 4, 3)
    const model = b.model(
      [b.node('Transpose', ['w'], ['t'], { perm: [1, 0] }), b.node('Gemm', ['x', 't'], ['c']), norm],
      [b.floats('w', [4, 5], b.noise(20)), ...tensors],
      ['x'],
      ['y'],
    )
    const { model: folded } = foldBatchNorms(model)
    expect(folded.graph!.node.map(({ opType }) => opType)).toEqual(['Gemm'])
    expect(b.relativeDifference(await outputs(folded, [3, 5]), await outputs(model, [3, 5]))).toBeLessThan(
      1e-5,
    )
  })

  const alone = (model: ModelProto) => {
    const result = foldBatchNorms(model)
    expect(result.folded).toEqual([])
    expect(result.model).toBe(model)
  }

  it('leaves a BatchNormalization alone whose input others see', () => {
    alone(conv([b.node('Relu', ['c'], ['z'])], ['y', 'z']))
    alone(conv([], ['y', 'c']))
  })

  it('leaves one alone that trains, or whose parameters are computed', () => {
    const [training, tensors] = batchNorm('c', 'y', 4, 3, { training_mode: 1 })
    const w = b.floats('w', [4, 3, 2, 2], b.noise(48))
    alone(
      b.model([b.node('Conv', ['x', 'w'], ['c']), training], [w, ...tensors], ['x'], ['y'], { opset: 15 }),
    )
    alone(
      b.model([b.node('Conv', ['x', 'w'], ['c']), bn], [w, ...bnTensors.slice(1)], ['x', 'y_gamma'], ['y']),
    )
  })

  it('leaves one alone behind a weight or a bias that does not belong to the node', () => {
    const w = b.floats('w', [4, 3, 2, 2], b.noise(48))
    const nodes = [b.node('Conv', ['x', 'w'], ['c']), bn, b.node('Conv', ['x', 'w'], ['z'])]
    alone(b.model(nodes, [w, ...bnTensors], ['x'], ['y', 'z']))
    alone(b.model([b.node('Conv', ['x', 'w', 'b'], ['c']), bn], [w, ...bnTensors], ['x', 'b'], ['y']))
  })

  it('leaves one alone that does not stand directly behind', () => {
    const nodes = [b.node('Conv', ['x', 'w'], ['r']), b.node('Relu', ['r'], ['c']), bn]
    alone(b.model(nodes, [b.floats('w', [4, 3, 2, 2], b.noise(48)), ...bnTensors], ['x'], ['y']))
  })
})

describe.skipIf(!b.hasAssets)('real models', () => {
  for (const [name, count] of [
    ['cifar10-resnet20', 19],
    ['imagenet-mobilenetv1-0.25-224', 27],
    ['cifar10-gpfq-cnn', 0],
  ] as const)
    it(`fold ${count} BatchNormalizations of ${name} and compute the same`, async () => {
      const model = decodeModel(b.realModel(name))
      const { model: folded, folded: names } = foldBatchNorms(model)
      expect(names).toHaveLength(count)
      const feeds = b.realFeeds(name)
      const expected = await b.run(encodeModel(model), feeds)
      const got = await b.run(encodeModel(folded), feeds)
      expect(
        b.relativeDifference(got.logits!.data as Float32Array, expected.logits!.data as Float32Array),
      ).toBeLessThan(1e-4)
    })
})
