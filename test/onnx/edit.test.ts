import { describe, expect, it } from 'vitest'
import { GraphEdit } from '#src/onnx/edit.js'
import { indexGraph } from '#src/onnx/graph.js'
import * as b from './build.js'

describe('GraphEdit', () => {
  it('makes fresh names of one stem in linear time', () => {
    const nodes = [b.node('Relu', ['x'], ['y']), b.node('Relu', ['y'], ['y_3'])]
    const edit = new GraphEdit(indexGraph(b.model(nodes, [], ['x'], ['y_3'])))
    const names = Array.from({ length: 100_000 }, () => edit.fresh('y'))
    expect(names.slice(0, 3)).toEqual(['y_2', 'y_4', 'y_5'])
    expect(new Set(names).size).toBe(names.length)
    expect(edit.fresh('z')).toBe('z')
  })

  it('drops a chain of 30,000 constant nodes that lost its reader, and keeps what was unused before', () => {
    const count = 30_000
    const model = b.model(
      [
        ...Array.from({ length: count }, (_, i) => b.node('Neg', [`k${i}`], [`k${i + 1}`])),
        b.node('Neg', ['other'], ['unused']),
        b.node('Add', ['x', `k${count}`], ['y']),
      ],
      [b.floats('k0', [1], [1]), b.floats('other', [1], [1]), b.floats('idle', [1], [1])],
      ['x'],
      ['y'],
    )
    const edit = new GraphEdit(indexGraph(model))
    edit.setInput(count + 1, 1, edit.add(b.floats('new', [1], [2])))
    const { node, initializer } = edit.finish().graph!
    expect(node.map(({ output }) => output[0])).toEqual(['unused', 'y'])
    expect(initializer.map(({ name }) => name)).toEqual(['other', 'idle', 'new'])
  })

  it('keeps a constant node that another node still reads', () => {
    const model = b.model(
      [
        b.node('Neg', ['k'], ['a']),
        b.node('Neg', ['a'], ['b']),
        b.node('Add', ['x', 'b'], ['y']),
        b.node('Add', ['x', 'a'], ['z']),
      ],
      [b.floats('k', [1], [1])],
      ['x'],
      ['y', 'z'],
    )
    const edit = new GraphEdit(indexGraph(model))
    edit.setInput(2, 1, 'x')
    expect(edit.finish().graph!.node.map(({ output }) => output[0])).toEqual(['a', 'y', 'z'])
  })
})
