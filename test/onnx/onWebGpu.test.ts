import { expect, it } from 'vitest'
import { indexGraph } from '#src/onnx/graph.js'
import { decodeModel } from '#src/onnx/model.js'
import { onWebGpu } from '#src/onnx/onWebGpu.js'
import { everyForm } from '../webgpu/forms.js'

/** The forms that test/webgpu/forms.spec.ts finds on the CPU, or with other values. */
it('says of every form what WebGPU computes otherwise', async () => {
  const found = new Map<string, readonly string[]>()
  for (const { name, model } of await everyForm()) {
    const findings = onWebGpu(indexGraph(decodeModel(model)))
    if (findings.length > 0) found.set(name, findings)
  }
  const words = [...found].map(([name, [finding, ...more]]) => [
    name,
    finding?.match(/rounds|bits are|integers/)?.[0],
    more,
  ])
  expect(words).toEqual([
    ['MatMul, qdq 2 bit', 'bits are', []],
    ['Conv, Gemm, qdq 2 bit', 'bits are', []],
    ['MatMul, packed on int8, dynamic ranges', 'integers', []],
    ['MatMul, qdq on int8, static ranges', 'integers', []],
    ['Conv, Gemm, packed on int8, static ranges', 'integers', []],
    ['Conv, Gemm, qdq on int8, static ranges', 'integers', []],
    ['MatMul, accuracy_level 4 (not written by gpfq)', 'rounds', []],
  ])
})
