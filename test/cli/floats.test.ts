import { writeFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { floatLines, quantizedShare } from '#src/cli/floats.js'
import { encodeModel } from '#src/onnx/model.js'
import * as b from '../onnx/build.js'
import { DIGITS, gpfq, temporaryFolder } from './run.js'

const at = temporaryFolder()

const kept = [
  { place: "'table'", bytes: 450, reason: 'an embedding table stays float' },
  { place: "'bias'", bytes: 4, reason: 'it is the bias of a layer' },
  { place: "'scale'", bytes: 2, reason: 'nothing reads it' },
]
const account = { bytes: 1000, quantized: 544, kept }

it('shows every share, and all bytes are in them', () => {
  expect(quantizedShare(account)).toBe('54.4 %')
  expect(floatLines(account)).toEqual([
    'float values 1.0 kB: 544 B (54.4 %) in layers, 456 B (45.6 %) stay float',
    "  'table', 450 B (45 %): an embedding table stays float",
    "  'bias', 4 B (0.4 %): it is the bias of a layer",
    "  'scale', 2 B (0.2 %): nothing reads it",
  ])
  expect(floatLines(account, 0.01).slice(1)).toEqual([
    "  'table', 450 B (45 %): an embedding table stays float",
    '  2 more, 6 B (0.6 %)',
  ])
})

it('says 100 % only of all', () => {
  const almost = { bytes: 1e6, quantized: 999_999, kept: [{ place: "'b'", bytes: 1, reason: 'r' }] }
  expect(floatLines(almost)[0]).toMatch(/\(99\.9 %\) in layers, 1 B \(below 0\.1 %\) stay float$/)
  expect(floatLines({ bytes: 8, quantized: 8, kept: [] })).toEqual([
    'float values 8 B: 8 B (100 %) in layers',
  ])
})

it('is in what inspect, a dry run and a run print', async () => {
  const model = `${DIGITS}digits.onnx`
  const share = /\nfloat values 209 kB: 209 kB \(99\.\d %\) in layers, [\d.]+ k?B \(0\.\d %\) stay float\n/
  expect((await gpfq(['inspect', model])).stdout).toMatch(share)
  const { stdout, stderr } = await gpfq(['quantize', model, '--dry-run'])
  expect(stdout).toMatch(share)
  expect(stderr).toMatch(/\n {2}layers +4 to quantize, with 99\.\d % of the float bytes\n/)
})

it('names the stored tensors that a weight is made of', async () => {
  const path = at('joined.onnx')
  const model = b.model(
    [
      b.node('Concat', ['upper', 'lower'], ['joined'], { axis: 0 }),
      b.node('MatMul', ['x', 'joined'], ['h'], {}, 'first'),
      b.node('MatMul', ['h', 'plain'], ['y'], {}, 'second'),
    ],
    [b.noisy('upper', [3, 8], 1), b.noisy('lower', [5, 8], 2), b.noisy('plain', [8, 8], 3)],
    [b.value('x', b.DataType.FLOAT, ['n', 8])],
    ['y'],
  )
  writeFileSync(path, encodeModel(model))
  const { stdout } = await gpfq(['inspect', path])
  expect(stdout).toContain(
    '\nweights that nodes make of stored tensors:\n  joined: upper, lower\nfloat values 512 B: ',
  )
  const { layers } = JSON.parse((await gpfq(['inspect', path, '--json'])).stdout) as {
    layers: { name: string; madeOf: string[] }[]
  }
  expect(layers.map(({ name, madeOf }) => [name, madeOf])).toEqual([
    ['first', ['upper', 'lower']],
    ['second', []],
  ])
})
