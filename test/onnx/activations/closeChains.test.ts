/** Which layers run on integers because of what is around them. */
import { describe, expect, it } from 'vitest'
import { closeChains } from '#src/onnx/activations/closeChains.js'
import { indexGraph } from '#src/onnx/graph.js'
import { findLayers } from '#src/onnx/layers.js'
import type { RangeKind } from '../../../src/onnx/activations/integers.js'
import * as b from '../build.js'
import { NETS } from './nets.js'
import { conv, modelOfNet, type Net, net } from './parts.js'

/** The candidates that join all other layers. */
function closed(tested: Net, candidates: readonly string[]): string[] {
  const graph = indexGraph(modelOfNet(tested, 13))
  const { layers } = findLayers(graph)
  const isCandidate = ({ name }: { name: string }) => candidates.includes(name)
  const chosen = layers.filter((layer) => !isCandidate(layer))
  const ranges = new Map(chosen.map((layer): [typeof layer, RangeKind] => [layer, 'static']))
  return closeChains(graph, ranges, layers.filter(isCandidate)).map(({ name }) => name)
}

const node = (op: string, inputs: string[], y: string) => ({
  nodes: [b.node(op, inputs, [y], {}, y)],
  constants: [],
})
const block = (shortcut: string, sum: string) =>
  net(
    [
      conv('x', 'c0', 4, 8),
      node('Exp', ['c0'], 'e'),
      conv('c0', 'c1', 8, 8),
      conv(shortcut, 's', 8, 8, [1, 1]),
      node(sum, ['c1', 's'], 'z'),
      conv('z', 'c2', 8, 4),
    ],
    'c2',
  )

describe('closeChains', () => {
  it('takes a layer between two others', () => {
    expect(closed(NETS.chain!, ['c2'])).toEqual(['c2'])
  })

  it('takes the shortcut of a residual block, whose sum then is one of integers', () => {
    expect(closed(block('c0', 'Add'), ['s'])).toEqual(['s'])
  })

  it('leaves a layer that reads floats', () => {
    expect(closed(block('e', 'Add'), ['s'])).toEqual([])
    expect(closed(NETS.chain!, ['c1'])).toEqual([])
  })

  it('leaves a layer whose output a float operator reads', () => {
    expect(closed(block('c0', 'Sub'), ['s'])).toEqual([])
    expect(closed(NETS.chain!, ['c3'])).toEqual([])
  })

  it('leaves layers that only close the chain together', () => {
    expect(closed(block('c0', 'Add'), ['c1', 's'])).toEqual([])
    expect(closed(NETS.chain!, ['c1', 'c2', 'c3'])).toEqual([])
  })

  it('leaves a layer that makes an output of the graph', () => {
    const last = { ...conv('r', 'y', 8, 8), inputs: { x: [2, 4, 8, 8] }, outputs: ['y'] }
    const before = [conv('x', 'c0', 4, 8), node('Relu', ['c0'], 'r')]
    const tested = {
      ...last,
      nodes: [...before.flatMap(({ nodes }) => nodes), ...last.nodes],
      constants: [...before.flatMap(({ constants }) => constants), ...last.constants],
    }
    expect(closed(tested, ['y'])).toEqual([])
  })
})
