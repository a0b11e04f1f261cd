import { describe, expect, it } from 'vitest'
import { compileGlob, runGlob } from '#src/onnx/glob.js'
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
  unsampled: [],
  rounded: null,
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

  it('have classes, ranges, alternatives within each other, and signs that stand for themselves', () => {
    const all = (pattern: string, ...names: string[]) => names.map((name) => matcherOf(pattern)(name))
    expect(all('conv[12]', 'conv1', 'conv3')).toEqual([true, false])
    expect(all('conv[!0-3]', 'conv1', 'conv4')).toEqual([false, true])
    expect(all('b.{0,1{0,1}}.w', 'b.0.w', 'b.11.w', 'b.1.w')).toEqual([true, true, false])
    expect(all('{*conv*,fc}', '/a/conv1', 'fc', 'fc2')).toEqual([true, true, false])
    expect(all('!fc*', 'fc1', 'conv1')).toEqual([false, true])
    expect(all('a\\*', 'a*', 'ab')).toEqual([true, false])
    expect(all('a[b', 'a[b', 'ab')).toEqual([true, false])
    expect(all('x{1}', 'x{1}', 'x1')).toEqual([true, false])
    expect(all('?', '𝒳', 'ab', '')).toEqual([true, false, false])
    expect(all('*', '', 'a\nb')).toEqual([true, true])
    for (const name of ['constructor', '__proto__', 'toString']) expect(matcherOf('x')(name)).toBe(false)
  })

  it.each(['*a', '{a,*}', '[!b]*', '?*', '{,a}'])(
    'look at each state once a character: %s again and again takes no longer than its length says',
    (part) => {
      const glob = compileGlob(`${part.repeat(60)}b`)
      const { matches, steps } = runGlob(glob, 'a'.repeat(2000))
      expect(matches).toBe(false)
      expect(steps).toBeLessThanOrEqual(2001 * glob.states.length)
      expect(glob.states.length).toBeLessThanOrEqual(60 * part.length + 2)
    },
  )

  it('take braces and brackets at any depth', () => {
    const deep = `${'{a,'.repeat(20000)}b${'}'.repeat(20000)}`
    expect(runGlob(compileGlob(deep), 'b').matches).toBe(false)
    expect(compileGlob('['.repeat(100000)).states).toHaveLength(100001)
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
