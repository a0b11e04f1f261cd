/** Values that are no tensors of numbers, compared with the types that ONNX Runtime finds. */
import { create } from '@bufbuild/protobuf'
import {
  AttributeProtoSchema,
  AttributeProto_AttributeType as AttributeType,
  type ModelProto,
  type NodeProto,
  OperatorSetIdProtoSchema,
  type TensorProto,
  TensorProtoSchema,
  ValueInfoProtoSchema,
} from 'onnx-buf'
import { describe, expect, it } from 'vitest'
import { indexGraph } from '#src/onnx/graph.js'
import { encodeModel } from '#src/onnx/model.js'
import { nonNumericValues } from '#src/onnx/nonNumeric.js'
import * as b from './build.js'

const strings = (name: string, values: string[]): TensorProto =>
  create(TensorProtoSchema, {
    name,
    dims: [BigInt(values.length)],
    dataType: b.DataType.STRING,
    stringData: values.map((text) => new TextEncoder().encode(text)),
  })

const listed = (name: string, values: string[] | number[]) =>
  create(
    AttributeProtoSchema,
    typeof values[0] === 'string'
      ? {
          name,
          type: AttributeType.STRINGS,
          strings: values.map((text) => new TextEncoder().encode(String(text))),
        }
      : name.includes('int64s')
        ? { name, type: AttributeType.INTS, ints: values.map(BigInt) }
        : { name, type: AttributeType.FLOATS, floats: values.map(Number) },
  )

const learner = (
  opType: string,
  input: string[],
  output: string[],
  lists: Record<string, string[] | number[]>,
  domain = 'ai.onnx.ml',
): NodeProto => {
  const node = Object.assign(b.node(opType, input, output), { domain })
  for (const [name, values] of Object.entries(lists)) node.attribute.push(listed(name, values))
  return node
}

const loopBody = b.graph(
  [
    b.node('SequenceInsert', ['carried', 'x'], ['longer']),
    b.node('Identity', ['go'], ['on']),
    b.node('Relu', ['x'], ['scanned']),
  ],
  [],
  [b.value('i', b.DataType.INT64, []), b.value('go', b.DataType.BOOL, []), b.sequence('carried')],
  [b.value('on', b.DataType.BOOL, []), b.sequence('longer'), b.value('scanned')],
)
const branch = (from: string) =>
  b.graph([b.node('Identity', [from], ['chosen'])], [], [], [b.sequence('chosen')])

const GRAPHS: Record<string, readonly [NodeProto[], TensorProto[]]> = {
  sequences: [
    [
      b.node('SequenceConstruct', ['x', 'x'], ['pair']),
      b.node('SequenceInsert', ['pair', 'x'], ['three']),
      b.node('SequenceErase', ['three', 'zero'], ['two']),
      b.node('Identity', ['two'], ['same']),
      b.node('SequenceAt', ['same', 'zero'], ['at']),
      b.node('SequenceLength', ['same'], ['length']),
      b.node('ConcatFromSequence', ['same'], ['joined'], { axis: 0 }),
      b.node('SplitToSequence', ['x'], ['split']),
      b.node('SequenceEmpty', [], ['empty']),
      b.node('SequenceMap', ['pair'], ['mapped'], {
        body: b.graph([b.node('Relu', ['e'], ['r'])], [], ['e'], ['r']),
      }),
      b.node('Loop', ['count', 'true', 'empty'], ['collected', 'scan'], { body: loopBody }),
      b.node('If', ['true'], ['either'], { then_branch: branch('pair'), else_branch: branch('two') }),
      b.node('SequenceAt', ['either', 'zero'], ['last']),
    ],
    [
      b.ints('zero', [], [0]),
      b.ints('count', [], [2]),
      create(TensorProtoSchema, { name: 'true', dataType: b.DataType.BOOL, int32Data: [1] }),
    ],
  ],
  optionals: [
    [
      b.node('Optional', ['x'], ['maybe']),
      b.node('Identity', ['maybe'], ['still']),
      b.node('OptionalHasElement', ['still'], ['has']),
      b.node('OptionalGetElement', ['still'], ['element']),
      b.node('SequenceConstruct', ['x'], ['one']),
      b.node('Optional', ['one'], ['maybeOne']),
      b.node('OptionalGetElement', ['maybeOne'], ['oneAgain']),
      b.node('ConcatFromSequence', ['oneAgain'], ['tensor'], { axis: 0 }),
    ],
    [],
  ],
  strings: [
    [
      b.node('Cast', ['x'], ['text'], { to: b.DataType.STRING }),
      b.node('Cast', ['text'], ['number'], { to: b.DataType.FLOAT }),
      b.node('Gather', ['words', 'ids'], ['chosen']),
      b.node('Concat', ['chosen', 'words'], ['all'], { axis: 0 }),
      b.node('Reshape', ['all', 'flat'], ['shaped']),
      b.node('Shape', ['shaped'], ['shape']),
      b.node('Equal', ['all', 'all'], ['equal']),
      b.node('Where', ['equal', 'all', 'all'], ['where']),
      b.node('Unique', ['all'], ['unique', 'first']),
      b.node('StringConcat', ['words', 'words'], ['double']),
      b.node('StringSplit', ['all'], ['parts', 'counts']),
      b.node('StringNormalizer', ['all'], ['lower'], { case_change_action: 'LOWER' }),
      b.node('SequenceConstruct', ['all'], ['seq']),
      b.node('SequenceAt', ['seq', 'zero'], ['word']),
      b.node('Constant', [], ['constant'], { value: strings('c', ['a']) }),
      learner('LabelEncoder', ['chosen'], ['code'], { keys_strings: ['a', 'b'], values_int64s: [0, 1] }),
      learner('LabelEncoder', ['code'], ['label'], { keys_int64s: [0, 1], values_strings: ['a', 'b'] }),
      learner('LinearClassifier', ['x'], ['class', 'scores'], {
        coefficients: [1, 2, 3, 4],
        intercepts: [0, 0],
        classlabels_strings: ['a', 'b'],
      }),
      learner('ZipMap', ['scores'], ['map'], { classlabels_strings: ['a', 'b'] }),
      learner('ArrayFeatureExtractor', ['words', 'ids'], ['feature'], {}),
    ],
    [strings('words', ['a', 'b']), b.ints('flat', [1], [-1]), b.ints('zero', [], [0])],
  ],
}

/** Of every value of the graph that ONNX Runtime can hand out: whether it is a tensor of numbers. */
async function typesFound(model: ModelProto): Promise<Map<string, boolean>> {
  const outputs = model.graph!.node.flatMap(({ output }) => output)
  model.graph!.output = outputs.map((name) => create(ValueInfoProtoSchema, { name }))
  const session = await b.ort.InferenceSession.create(encodeModel(model), { logSeverityLevel: 4 })
  const found = new Map(
    session.outputMetadata.map((output): [string, boolean] => [
      output.name,
      output.isTensor && output.type !== 'string',
    ]),
  )
  await session.release()
  return found
}

describe('nonNumericValues', () => {
  it.each(Object.entries(GRAPHS))(
    'finds the types that ONNX Runtime finds: %s',
    async (_, [nodes, constants]) => {
      const make = () => {
        const inputs = [b.value('x', b.DataType.FLOAT, ['n', 2]), b.value('ids', b.DataType.INT64, ['m'])]
        const model = b.model(nodes, constants, inputs, [], { opset: 20, irVersion: 9 })
        model.opsetImport.push(create(OperatorSetIdProtoSchema, { domain: 'ai.onnx.ml', version: 2n }))
        return model
      }
      const found = nonNumericValues(indexGraph(make()))
      const expected = await typesFound(make())
      expect(expected.size).toBe(nodes.flatMap(({ output }) => output).length)
      const made = [...expected].filter(([, numbers]) => !numbers).map(([name]) => name)
      expect([...found].filter((name) => expected.has(name)).toSorted()).toEqual(made.toSorted())
    },
  )

  it('takes the types that the file declares', () => {
    const model = b.model(
      [Object.assign(b.node('Foo', ['x'], ['s', 't']), { domain: 'com.acme' })],
      [],
      ['x', b.sequence('given')],
      ['t'],
    )
    model.graph!.valueInfo.push(b.sequence('s'))
    expect([...nonNumericValues(indexGraph(model))].toSorted()).toEqual(['given', 's'])
  })
})
