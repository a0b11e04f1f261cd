import { readFileSync, writeFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { formatNpy, parseNpy } from '#src/data/npy.js'
import { frameQuantize } from '#src/reference/frame.js'
import { gpfq, temporaryFolder } from './run.js'

const at = temporaryFolder()

/** Deterministic values in (−1, 1). */
const noise = (length: number, seed: number) =>
  Float32Array.from({ length }, (_, i) => (((i + 1) * (seed + 0.618034) * 7919.7) % 2) - 1)

describe('gpfq layer', () => {
  const weights = noise(12 * 5, 1)
  writeFileSync(at('W.npy'), formatNpy({ type: 'float32', dims: [12, 5], data: weights }))
  writeFileSync(
    at('X.npy'),
    formatNpy({ type: 'float64', dims: [40, 12], data: Float64Array.from(noise(480, 2)) }),
  )
  const files = ['--weights', at('W.npy'), '--inputs', at('X.npy')]

  it('writes codes and scales that stand for the weights', async () => {
    const args = [...files, '-o', at('codes.npy'), '--scales', at('scales.npy'), '--levels', '255', '--json']
    const { code, stdout } = await gpfq(['layer', ...args, '--threads', '1', '--radius', 'max'])
    expect(code).toBe(0)
    const document = JSON.parse(stdout)
    expect(Object.keys(document)).toEqual(['relativeError', 'seconds', 'threads'])
    expect(document.threads).toBe(1)
    const codes = parseNpy(readFileSync(at('codes.npy')))
    const scales = parseNpy(readFileSync(at('scales.npy')))
    expect([codes.type, codes.dims, scales.type, scales.dims]).toEqual(['uint8', [12, 5], 'float32', [1, 5]])
    for (let i = 0; i < 60; i++) {
      const scale = Number(scales.data[i % 5])
      const value = scale * (Number(codes.data[i]) - 127)
      expect(Math.abs(value - weights[i]!)).toBeLessThan(5 * scale) // path following moves errors on, but not far
    }
  })

  it('writes the values that codes and scales stand for', async () => {
    const args = [...files, '-o', at('v-codes.npy'), '--scales', at('v-scales.npy'), '--values', at('v.npy')]
    expect(await gpfq(['layer', ...args, '--levels', '7', '--quiet'])).toMatchObject({ code: 0, stderr: '' })
    const [codes, scales, values] = ['v-codes', 'v-scales', 'v'].map((name) =>
      parseNpy(readFileSync(at(`${name}.npy`))),
    )
    expect([values!.type, values!.dims]).toEqual(['float32', [12, 5]])
    for (let i = 0; i < 60; i++)
      expect(values!.data[i]).toBe(Math.fround(Number(scales!.data[i % 5]) * (Number(codes!.data[i]) - 3)))
  })

  it('writes coefficients in their own shape for frame, and the weights they stand for', async () => {
    const args = [...files, '-o', at('f-codes.npy'), '--scales', at('f-scales.npy'), '--values', at('f.npy')]
    const frame = ['--method', 'frame', '--levels', '16', '--redundancy', '3', '--quiet']
    expect(await gpfq(['layer', ...args, ...frame])).toMatchObject({ code: 0, stderr: '' })
    const [codes, scales, values] = ['f-codes', 'f-scales', 'f'].map((name) =>
      parseNpy(readFileSync(at(`${name}.npy`))),
    )
    expect([codes!.dims, codes!.data.length, scales!.dims]).toEqual([[36, 5], 180, [1, 5]])
    expect(values!.dims).toEqual([12, 5])
    for (let k = 0; k < 5; k++) {
      const own = Array.from({ length: 12 }, (_, t) => weights[t * 5 + k]!)
      const scale = Number(scales!.data[k])
      const given = { weights: own, count: 36, levels: 16, scale }
      const twin = frameQuantize(given, (index) => Number(codes!.data[index * 5 + k]))
      for (const [t, value] of twin.values.entries()) {
        expect(Number(values!.data[t * 5 + k])).toBeCloseTo(value, 5)
        expect(Math.abs(value - own[t]!)).toBeLessThan(scale)
      }
    }
  })

  it('takes scales per group', async () => {
    const args = [
      ...files,
      '-o',
      at('g.npy'),
      '--scales',
      at('gs.npy'),
      '--bits',
      '4',
      '--scale-per',
      'group:4',
      '--quiet',
    ]
    expect(await gpfq(['layer', ...args])).toMatchObject({ code: 0, stdout: '', stderr: '' })
    expect(parseNpy(readFileSync(at('gs.npy'))).dims).toEqual([3, 5])
  })

  it('says which file does not fit', async () => {
    writeFileSync(at('bad.npy'), formatNpy({ type: 'float32', dims: [40, 11], data: new Float32Array(440) }))
    const run = await gpfq(['layer', '--weights', at('W.npy'), '--inputs', at('bad.npy'), '-o', at('b.npy')])
    expect(run.code).toBe(1)
    expect(run.stderr).toMatch(
      /^error: .*bad\.npy: expected \(m, 12\) to go with the weights, got shape \(40, 11\)\n$/,
    )
    const again = await gpfq(['layer', ...files, '-o', at('bad.npy')])
    expect(again.stderr).toMatch(/bad\.npy: the file exists already/)
  })
})
