import type { ModelProto } from 'onnx-buf'
import { describe, expect, it } from 'vitest'
import { indexGraph } from '#src/onnx/graph.js'
import { findLayers, readWeights } from '#src/onnx/layers.js'
import { decodeModel, encodeModel } from '#src/onnx/model.js'
import { extractSegment } from '#src/onnx/segment.js'
import { planStages, type Stage } from '#src/onnx/stages.js'
import { ELEM_TYPES } from '#src/onnx/tensor.js'
import type { TensorType } from '../../src/calibration/runner.js'
import * as b from './build.js'

/** Runs the stages one after the other, holding only what each says is live; returns the graph's outputs. */
async function runStages(
  model: ModelProto,
  stages: readonly Stage[],
  feeds: Record<string, b.ort.Tensor>,
  weights: (quantized: ReadonlySet<string>) => ReadonlyMap<string, Float32Array> = () => new Map(),
): Promise<Map<string, b.ort.Tensor>> {
  const held = new Map(Object.entries(feeds))
  const done = new Set<string>()
  for (const stage of stages) {
    if (stage.outputs.length > 0) {
      const inputs = stage.inputs.map((name) => {
        const tensor = held.get(name)
        if (tensor === undefined) throw new Error(`'${name}' is not held`)
        return { name, elemType: ELEM_TYPES[tensor.type as TensorType] }
      })
      const bytes = extractSegment(model, stage.nodes, inputs, stage.outputs, weights(done))
      const made = await b.run(bytes, Object.fromEntries(stage.inputs.map((name) => [name, held.get(name)!])))
      for (const [name, tensor] of Object.entries(made)) held.set(name, tensor)
    }
    for (const layer of stage.quantize) {
      for (const use of layer.uses) expect(held.has(use.input), `${use.input} of ${layer.name}`).toBe(true)
      done.add(layer.name)
    }
    for (const name of held.keys()) if (!stage.live.includes(name)) held.delete(name)
  }
  return held
}

describe.skipIf(!b.hasAssets)('segments of real models, run one after the other in ONNX Runtime', () => {
  for (const name of Object.keys(b.REAL_MODELS) as b.RealModel[])
    it(`give the outputs of the whole model: ${name}`, async () => {
      const bytes = b.realModel(name)
      const model = decodeModel(bytes)
      const graph = indexGraph(model)
      const stages = planStages(graph, findLayers(graph).layers)
      const feeds = b.realFeeds(name)
      const whole = await b.run(bytes, feeds)
      const held = await runStages(model, stages, feeds)
      for (const output of graph.outputs) {
        const expected = whole[output]!.data as Float32Array
        expect(b.relativeDifference(held.get(output)!.data as Float32Array, expected)).toBeLessThan(1e-4)
      }
    })
})
