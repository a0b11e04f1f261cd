import { describe, expect, it } from 'vitest'
import { indexGraph } from '#src/onnx/graph.js'
import * as b from './build.js'

describe('indexGraph', () => {
  it('finds the producer and the readers of a tensor', () => {
    const graph = indexGraph(
      b.model(
        [b.node('Relu', ['x'], ['a']), b.node('Add', ['a', 'a'], ['y']), b.node('Mul', ['a', 'k'], ['z'])],
        [b.floats('k', [1], [2])],
        ['x'],
        ['y', 'z'],
      ),
    )
    expect(graph.producer('a')).toBe(0)
    expect(graph.producer('x')).toBeUndefined()
    expect(graph.consumers('a')).toEqual([1, 2])
    expect(graph.inputs).toEqual(['x'])
    expect(graph.isConstant('k')).toBe(true)
    expect(graph.isConstant('a')).toBe(false)
    expect(graph.isOutput('z')).toBe(true)
  })

  it('orders nodes that come unordered, and keeps an order that can run', () => {
    const nodes = [b.node('Relu', ['b'], ['y']), b.node('Relu', ['x'], ['a']), b.node('Relu', ['a'], ['b'])]
    expect(indexGraph(b.model(nodes, [], ['x'], ['y'])).order).toEqual([1, 2, 0])
    const ordered = [
      b.node('Relu', ['x'], ['a']),
      b.node('Relu', ['x'], ['b']),
      b.node('Add', ['b', 'a'], ['y']),
    ]
    expect(indexGraph(b.model(ordered, [], ['x'], ['y'])).order).toEqual([0, 1, 2])
  })

  it('orders ten thousand nodes that come backwards', () => {
    const count = 10_000
    const nodes = Array.from({ length: count }, (_, i) =>
      b.node('Relu', [`t${count - i - 1}`], [`t${count - i}`]),
    )
    const { order } = indexGraph(b.model(nodes, [], ['t0'], [`t${count}`]))
    expect(order.slice(0, 3)).toEqual([count - 1, count - 2, count - 3])
  })

  it('takes time linear in the number of nodes that share a name', () => {
    const count = 100_000
    const nodes = Array.from({ length: count }, () => b.node('Dropout', ['x'], [''], {}, ''))
    const { names } = indexGraph(b.model(nodes, [], ['x'], ['x']))
    expect(names.slice(0, 3)).toEqual(['Dropout_', 'Dropout__2', 'Dropout__3'])
    expect(names.at(-1)).toBe(`Dropout__${count}`)
  })

  it('reads every constant of a long chain in linear time', () => {
    const count = 100_000
    const nodes = Array.from({ length: count }, (_, i) => b.node('Identity', [`k${i}`], [`k${i + 1}`]))
    const k0 = b.floats('k0', [1], [2])
    const graph = indexGraph(b.model(nodes, [k0], [], [`k${count}`]))
    for (let i = 0; i <= count; i++) if (graph.constant(`k${i}`) !== k0) expect.fail(`k${i}`)
    expect(graph.constant('nowhere')).toBeUndefined()
  })

  it('counts what a subgraph captures as read by its node', () => {
    const branch = (name: string) =>
      b.graph([b.node('Add', ['outer', 'own'], [name])], [b.floats('own', [1], [1])], [], [name])
    const nested = b.graph(
      [b.node('If', ['c'], ['n'], { then_branch: branch('p'), else_branch: branch('q') })],
      [],
      [],
      ['n'],
    )
    const model = b.model(
      [
        b.node('Relu', ['x'], ['outer']),
        b.node('If', ['c'], ['y'], { then_branch: nested, else_branch: nested }),
      ],
      [],
      ['x', 'c'],
      ['y'],
    )
    const graph = indexGraph(model)
    expect([...graph.reads(1)].sort()).toEqual(['c', 'outer'])
    expect(graph.consumers('outer')).toEqual([1])
  })

  it('makes node names unique without touching those that are', () => {
    const nodes = [
      b.node('Relu', ['x'], ['a'], {}, ''),
      b.node('Relu', ['a'], ['b'], {}, 'same'),
      b.node('Relu', ['b'], ['c'], {}, 'same'),
      b.node('Relu', ['c'], ['y'], {}, 'Relu_a'),
    ]
    const { names, nodeNamed } = indexGraph(b.model(nodes, [], ['x'], ['y']))
    expect(new Set(names).size).toBe(4)
    expect(names[1]).toBe('same')
    expect(names[3]).toBe('Relu_a')
    expect(names.map(nodeNamed)).toEqual([0, 1, 2, 3])
  })

  it('reads constants through Identity and Constant nodes', () => {
    const nodes = [
      b.node('Constant', [], ['k'], { value_ints: [4, 5] }),
      b.node('Identity', ['k'], ['i']),
      b.node('Reshape', ['x', 'i'], ['y']),
    ]
    const graph = indexGraph(b.model(nodes, [], ['x'], ['y']))
    expect(graph.constant('i')?.dims).toEqual([2n])
    expect(graph.isConstantNode(1)).toBe(true)
    expect(graph.isConstantNode(2)).toBe(false)
  })

  it('does not take random numbers for constants', () => {
    const nodes = [b.node('RandomNormal', [], ['r'], { shape: [2] }), b.node('Add', ['x', 'r'], ['y'])]
    expect(indexGraph(b.model(nodes, [], ['x'], ['y'])).isConstant('r')).toBe(false)
  })

  it.each([
    ['a cycle', [b.node('Relu', ['b'], ['a']), b.node('Relu', ['a'], ['b'])], 'b', /a cycle/],
    ['a tensor that nothing makes', [b.node('Relu', ['nowhere'], ['y'])], 'y', /'nowhere'/],
    [
      'two nodes that make one tensor',
      [b.node('Relu', ['x'], ['y']), b.node('Relu', ['x'], ['y'])],
      'y',
      /'y'/,
    ],
    ['an output that nothing makes', [b.node('Relu', ['x'], ['y'])], 'z', /graph output 'z'/],
  ])('refuses %s', (_, nodes, output, message) => {
    const model = b.model(nodes, [], ['x'], [output])
    expect(() => indexGraph(model)).toThrow(message)
    expect(() => indexGraph(model)).toThrow(expect.objectContaining({ code: 'INVALID_MODEL' }))
  })
})
