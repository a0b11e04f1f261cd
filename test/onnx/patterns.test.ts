import { describe, expect, it } from 'vitest'
import { matcherOf, matchLayers } from '#src/onnx/patterns.js'
import type { Layer } from '../../src/onnx/layer.js'

const layer = (name: string, weight: string): Layer => ({
  name,
  op: 'Conv',
  weight,
  groups: 1,
  inputs: 1,
  neurons: 1,
  uses: [{ node: name, input: 'x', output: 'y', sampling: { kind: 'rows' } }],
})
const LAYERS = [
  layer('/layer1/layer1.0/conv1/Conv', 'layer1.0.conv1.weight'),
  layer('/layer1/layer1.0/conv2/Conv', 'layer1.0.conv2.weight'),
  layer('/fc/Gemm', 'fc.weight'),
  layer('/blocks.0/wq/MatMul', 'onnx::MatMul_556'),
]
const match = (pattern: string) => matchLayers(pattern, LAYERS, [], 'include').map(({ name }) => name)

describe('patterns over layer names', () => {
  it('let a star match slashes and dots', () => {
    expect(match('*conv*')).toEqual([LAYERS[0]!.name, LAYERS[1]!.name])
    expect(match('*Gemm')).toEqual(['/fc/Gemm'])
    expect(match('/layer1/*')).toHaveLength(2)
    expect(match('*')).toHaveLength(4)
  })

  it('match node names and weight names', () => {
    expect(match('fc.weight')).toEqual(['/fc/Gemm'])
    expect(match('onnx::MatMul_*')).toEqual(['/blocks.0/wq/MatMul'])
    expect(match('layer1.0.conv{1,3}.weight')).toEqual([LAYERS[0]!.name])
    expect(match('*.conv?.*')).toHaveLength(2)
  })

  it('match whole names only', () => {
    expect(matcherOf('conv1')('/layer1/conv1/Conv')).toBe(false)
  })

  it('take a name with special characters literally', () => {
    expect(matcherOf('StatefulPartitionedCall/model/conv[1]')('StatefulPartitionedCall/model/conv[1]')).toBe(
      true,
    )
  })

  it('are an error when nothing matches, with the nearest names', () => {
    expect(() => match('layer1.0.conv1.wieght')).toThrow(
      /^include 'layer1.0.conv1.wieght': expected a glob .* near names: 'layer1.0.conv1.weight'/,
    )
    expect(() => match('xyz')).toThrow(expect.objectContaining({ code: 'NO_MATCH' }))
  })

  it('say so when they match only what cannot be quantized', () => {
    const skipped = [{ name: '/up/ConvTranspose', reason: 'a transposed convolution is not quantized' }]
    expect(() => matchLayers('*Transpose', LAYERS, skipped, 'include')).toThrow(
      /got '\/up\/ConvTranspose': a transposed convolution is not quantized/,
    )
  })
})
