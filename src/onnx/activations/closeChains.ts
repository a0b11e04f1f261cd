/**
 * Layers between layers on integers. A float layer there breaks the chain: its input is dequantized, its output is quantized
 * again, both are transposed, and the Add behind it waits for floats. So a layer that is not fast enough on integers by itself
 * runs on them if its input and its output are quantized by what is around it. The shortcut of ResNet-18 at 112², 64 to 128
 * channels, takes .17 ms on floats with what belongs to that, and .08 ms on integers.
 */
import type { GraphIndex } from '../graph.js'
import type { Layer } from '../layer.js'
import { integerInputs, layerResult } from './chains.js'
import type { RangeKind } from './integers.js'
import { planIntegers } from './planIntegers.js'

/**
 * Takes time linear in the graph.
 * @param chosen the layers that run on integers by themselves
 * @param candidates layers that can and with static ranges, and may
 * @returns those of the candidates that stand between quantized tensors
 */
export function closeChains(
  graph: GraphIndex,
  chosen: ReadonlyMap<Layer, RangeKind>,
  candidates: readonly Layer[],
): readonly Layer[] {
  if (candidates.length === 0) return []
  const { tensors, like } = planIntegers(graph, chosen)
  const quantized = new Set([...tensors, ...like.keys()])
  /** Whether all nodes that read a layer's result are integer operators whose other inputs are quantized. */
  const readOnIntegers = (result: string): boolean => {
    const readers = graph.consumers(result)
    return (
      readers.length > 0 &&
      readers.every((reader) =>
        integerInputs(graph, reader)?.every((input) => input === result || quantized.has(input)),
      )
    )
  }
  return candidates.filter(({ op, uses }) =>
    uses.every(({ input, output }) => {
      const result = layerResult(graph, op, output)
      return (
        quantized.has(input) && !graph.isOutput(result) && (quantized.has(result) || readOnIntegers(result))
      )
    }),
  )
}
