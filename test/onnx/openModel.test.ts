import { expect, it } from 'vitest'
import { encodeModel } from '#src/onnx/model.js'
import { openModel } from '#src/onnx/openModel.js'
import { DataType, model, node, value } from './build.js'

it('openModel takes sizes below one as unknown, and no shape as none', () => {
  const shapes = [['N', 3, 4], [-1, 3], [0, 3], [], undefined]
  const inputs = shapes.map((dims, i) => value(`x${i}`, DataType.FLOAT, dims))
  const proto = model([node('Identity', ['x0'], ['y'])], [], inputs, ['y'])
  expect(openModel(encodeModel(proto)).inputs.map(({ dims }) => dims)).toEqual([
    ['N', 3, 4],
    [null, 3],
    [null, 3],
    [],
    null,
  ])
})
