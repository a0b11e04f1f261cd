/** Operators that ONNX Runtime cannot run are told in words of this library, with the node; natively too where it is installed. */
import { create } from '@bufbuild/protobuf'
import { type ModelProto, type NodeProto, OperatorSetIdProtoSchema } from 'onnx-buf'
import { describe, expect, it } from 'vitest'
import { createOrtNodeRunner, createOrtWebRunner } from '#src/calibration/onnxRuntime.js'
import { encodeModel } from '#src/onnx/model.js'
import * as b from '../onnx/build.js'

const runners = [await createOrtWebRunner(), await createOrtNodeRunner().catch(() => null)].filter(
  (runner) => runner !== null,
)

const ofDomain = (node: NodeProto, domain: string): NodeProto => Object.assign(node, { domain })
const importing = (model: ModelProto, domain: string): ModelProto => {
  model.opsetImport.push(create(OperatorSetIdProtoSchema, { domain, version: 1n }))
  return model
}
const oneNode = (node: NodeProto, opset = 13): ModelProto => b.model([node], [], ['x'], ['y'], { opset })
const body = (opType: string) => b.graph([b.node(opType, ['x'], ['q'])], [], [], ['q'])

describe.each(runners)('$name', (runner) => {
  it.each([
    [
      'of no opset, with a name that objects have',
      oneNode(b.node('constructor', ['x'], ['y'])),
      "node 'y_node': ONNX Runtime has no operator constructor in opset 13",
    ],
    [
      'of a newer opset, in a node without a name',
      oneNode(b.node('Gelu', ['x'], ['y'], {}, '')),
      "node 'Gelu_y': ONNX Runtime has no operator Gelu in opset 13",
    ],
    [
      'of another domain',
      importing(oneNode(ofDomain(b.node('Foo', ['x'], ['y']), 'com.acme')), 'com.acme'),
      "node 'y_node': ONNX Runtime has no operator com.acme.Foo",
    ],
    [
      'of a domain that is not imported',
      oneNode(ofDomain(b.node('Foo', ['x'], ['y']), 'com.acme')),
      "node 'y_node': the model imports no version of the domain of its operator com.acme.Foo",
    ],
    [
      'in a body',
      b.model(
        [b.node('If', ['c'], ['y'], { then_branch: body('Relu'), else_branch: body('Bar') })],
        [],
        ['x', b.value('c', b.DataType.BOOL, [])],
        ['y'],
      ),
      "node 'q_node': ONNX Runtime has no operator Bar in opset 13",
    ],
    [
      'of another element type',
      b.model(
        [b.node('BitShift', ['x', 'x'], ['y'], { direction: 'LEFT' })],
        [],
        [b.value('x', b.DataType.UINT16)],
        [b.value('y', b.DataType.UINT16)],
      ),
      "node 'y_node': ONNX Runtime cannot compute BitShift with these element types",
    ],
  ])('names an operator %s', async (_, model, message) => {
    await expect(runner.load(encodeModel(model))).rejects.toMatchObject({
      code: 'UNSUPPORTED_MODEL',
      message,
    })
  })

  it('says nothing of where its source is', async () => {
    const loading = runner.load(encodeModel(oneNode(b.node('Relu', ['x'], ['y']), 99)))
    await expect(loading).rejects.toMatchObject({
      code: 'RUNTIME_FAILED',
      problem: expect.stringMatching(/^ONNX Runtime only .* opset 99 /i),
    })
  })

  it('names an output that is no tensor of numbers', async () => {
    const model = b.model(
      [b.node('SequenceConstruct', ['x', 'x'], ['s']), b.node('Relu', ['x'], ['y'])],
      [],
      ['x'],
      ['y', b.sequence('s')],
    )
    const session = await runner.load(encodeModel(model))
    const x = { type: 'float32', dims: [1], data: Float32Array.of(2) } as const
    expect((await session.run({ x }, ['y'])).y?.data).toEqual(Float32Array.of(2))
    await expect(session.run({ x })).rejects.toMatchObject({
      code: 'RUNTIME_FAILED',
      message: expect.stringMatching(
        /^ONNX Runtime, tensor 's': expected numbers, got a sequence, an optional or/,
      ),
    })
    await session.close()
  })
})
