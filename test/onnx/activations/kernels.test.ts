/**
 * What ONNX Runtime Web makes of the written forms: every layer that is to run on integers runs as an integer kernel, and no
 * other layer does. This is the only thing that tells a good form from one that is computed on floats, slower than before.
 */
import { describe, expect, it } from 'vitest'
import { valuesOfFeeds, writeOnIntegers } from './integerModels.js'
import { layerKernels, profile } from './kernels.js'
import { NETS } from './nets.js'
import { feedsOfNet, modelOfNet } from './parts.js'

describe.each(Object.entries(NETS))('%s', (_, net) => {
  for (const [opset, shapes] of [
    [13, true],
    [21, true],
    [13, false],
  ] as const)
    for (const format of ['packed', 'qdq'] as const)
      it(`runs on integers at opset ${opset}, ${format}${shapes ? '' : ', without declared shapes'}`, async () => {
        const feeds = feedsOfNet(net)
        const model = modelOfNet(net, opset, shapes)
        const { float = [], kernels: others = {}, without = [], broken = float.length > 0 } = net
        const {
          written,
          integerNodes: wanted,
          dynamicNodes,
        } = writeOnIntegers(model, valuesOfFeeds(feeds), {
          format,
          float,
        })
        const { kernels } = await profile(written, feeds)
        const seen = JSON.stringify(kernels.map(({ op, node }) => `${op}:${node}`))
        const layers = layerKernels(kernels, [...wanted, ...float])
        expect(layers, seen).toEqual({ integer: wanted, float: [...float].sort() })
        for (const [node, op] of Object.entries(others)) expect(kernels, seen).toContainEqual({ op, node })
        if (!broken && dynamicNodes.length === 0)
          expect(kernels.filter(({ op }) => op === 'QuantizeLinear').length, seen).toBe(1)
        for (const op of without)
          expect(
            kernels.map((kernel) => kernel.op),
            seen,
          ).not.toContain(op)
      })
})
