import { symlinkSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { describe, expect, it } from 'vitest'
import { DIGITS, gpfq, temporaryFolder } from './run.js'

const at = temporaryFolder()
writeFileSync(at('x.npy'), 'x')
symlinkSync(dirname(at('x')), at('loop'))
const model = `${DIGITS}digits.onnx`

describe('gpfq', () => {
  it('starts its help with examples', async () => {
    const { code, stdout } = await gpfq(['--help'])
    expect(code).toBe(0)
    expect(stdout).toMatch(/^Examples:\n {2}gpfq demo/)
    for (const command of ['quantize', 'eval', 'compare', 'inspect', 'layer', 'demo']) {
      expect(stdout).toContain(`\n  ${command} `)
      expect((await gpfq([command, '--help'])).stdout).toContain('Usage: gpfq ')
    }
  })

  it('names defaults and options in the help of its commands', async () => {
    const text = async (command: string) => (await gpfq([command, '--help'])).stdout.replaceAll(/\s+/g, ' ')
    const quantize = await text('quantize')
    const layer = await text('layer')
    for (const [option, value] of [
      ['levels', '15'],
      ['scale-per', 'neuron'],
      ['radius', 'search'],
      ['method', 'gpfq'],
      ['passes', '0; beacon 5, --preset best 3'],
      ['damping', '0; gptq 0.01; qronos 0.01'],
      ['seed', '0'],
      ['alignment', '1'],
      ['redundancy', '4'],
    ])
      for (const help of [quantize, layer])
        expect(help).toMatch(new RegExp(` --${option} <[^(]*\\(default: ${value}\\)`))
    expect(quantize).toMatch(/ --format <name> [^(]*\(default: auto\)/)
    expect(quantize).toMatch(/ --patches <N> [^(]*\(default: 32768\)/)
    expect(quantize).toContain(
      "folder of images, each scaled to cover the model's input and cut to its centre",
    )
    expect(layer).not.toContain('--random-patches')
  })

  it('prints its version', async () => {
    expect(await gpfq(['--version'])).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/),
    })
  })

  it.each([
    [[], /Usage/],
    [['quantise'], /unknown command 'quantise'\n\(Did you mean quantize\?\)/],
    [['quantize'], /missing required argument 'MODEL.onnx'/],
    [['quantize', model], /-o OUT\.onnx: expected a file to write/],
    [['quantize', model, '-o', at('o.onnx')], /--calib DATA: expected calibration samples/],
    [['quantize', model, '-o', model, '--method', 'msq', '--radius', 'max'], /another file than the model/],
    [
      ['quantize', model, '--bits', '9'],
      /--bits <2\.\.8>' argument '9' is invalid\. Expected a whole number from 2 to 8\./,
    ],
    [['quantize', model, '--levels', '1'], /from 2 to 256/],
    [['quantize', model, '--bits', '4', '--levels', '3'], /cannot be used with option/],
    [['quantize', model, '--radius', 'median'], /Expected median:C with C > 0/],
    [['quantize', model, '--radius', '-1'], /Expected max, median:C/],
    [['quantize', model, '--scale-per', 'group:0'], /Expected layer, neuron or group:SIZE/],
    [['quantize', model, '--bits-for', 'conv1'], /Expected GLOB=BITS/],
    [['quantize', model, '--format', 'int8'], /Allowed choices are auto, qdq, packed, nbits, float/],
    [['quantize', model, '--mean', 'a,b'], /Expected numbers separated by commas/],
    [['quantize', model, '--nonsense'], /unknown option '--nonsense'/],
    [['quantize', model, '--dry-run', '--target-bits', '9'], /--target-bits: expected a number from 2 to 8/],
    [['quantize', model, '--dry-run', '--target-size', '3'], /--target-size: expected a share above 0/],
    [['quantize', model, '--dry-run', '--random-patches', '2'], /--random-patches: expected a share above 0/],
    [['quantize', model, '--dry-run', '--redundancy', '4'], /--redundancy: expected a method that has it/],
    [
      ['quantize', model, '--dry-run', '--method', 'beacon', '--scale-per', 'layer'],
      /--scale-per: expected 'neuron'/,
    ],
    [
      ['quantize', model, '--method', 'msq', '--radius', 'max', '--bias-correction', '-o', at('o.onnx')],
      /--calib DATA: expected calibration samples, got none; --bias-correction needs them/,
    ],
    [['quantize', model, '--method', 'msq', '--radius', 'max', '-o', ''], /-o OUT\.onnx: expected a file/],
    [
      ['quantize', model, '--calib', 'x.npy', '-o', at('o.onnx'), '--report', model, '--force'],
      /--report .*: expected another file than the model, got the same; choose another name/,
    ],
    [
      ['quantize', model, '--calib', 'x.npy', '-o', at('o.onnx'), '--report', at('o.onnx'), '--force'],
      /--report .*: expected another file than -o, got the same/,
    ],
    [
      ['quantize', model, '--calib', `image=${at('x.npy')}`, '-o', at('loop/x.npy'), '--force'],
      /-o .*loop\/x\.npy: expected another file than --calib/,
    ],
    [
      ['layer', '--weights', at('x.npy'), '--inputs', 'i.npy', '-o', at('x.npy'), '--force'],
      /-o .*: expected another file than --weights/,
    ],
    [
      ['layer', '--weights', 'w.npy', '--inputs', 'i.npy', '-o', at('c.npy'), '--scales', at('loop/c.npy')],
      /--scales .*: expected another file than -o/,
    ],
    [
      ['layer', '--weights', 'w.npy', '--inputs', 'i.npy', '-o', at('c.npy'), '--redundancy', '4'],
      /--redundancy: expected a method that has it/,
    ],
    [['eval', model], /required option '--data <DATA\.\.\.>' not specified/],
    [['layer', '--weights', 'w.npy'], /-o CODES\.npy: expected a file to write, got none/],
  ])('exits with 2 when called as gpfq %j', async (args, message) => {
    const { code, stdout, stderr } = await gpfq(args)
    expect(stderr).toMatch(message)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
  })

  it.each([
    [['inspect', at('none.onnx')], /none\.onnx: expected a readable file, got nothing there/],
    [
      ['inspect', `${DIGITS}test.npz`],
      /test\.npz: model: expected the bytes of an ONNX model, got a zip archive/,
    ],
    [
      ['eval', model, '--data', at('none.npy'), '--labels', at('none.npy')],
      /none\.npy: expected a file or a folder/,
    ],
    [['eval', model, '--data', model, '--labels', model], /digits\.onnx: expected \.npy, \.npz or IDX/],
    [
      ['eval', model, '--data', `label=${DIGITS}test.npz`, '--labels', 'x'],
      /expected the name of a model input \(image\)/,
    ],
    [
      ['quantize', model, '--exclude', 'conv9*', '--dry-run'],
      /exclude 'conv9\*': expected a glob that matches/,
    ],
    [
      ['quantize', model, '--method', 'msq', '--radius', 'max', '-o', at('no/o.onnx')],
      /expected an existing folder/,
    ],
    [
      ['quantize', model, '--method', 'msq', '--radius', 'max', '-o', at('loop'), '--force'],
      /loop: expected a file or nothing there yet, got a folder/,
    ],
    [
      ['quantize', model, '--method', 'msq', '--radius', 'max', '-o', at('x.npy/o.onnx')],
      /o\.onnx: expected a folder .*, got a file/,
    ],
  ])('exits with 1 and one line for gpfq %j', async (args, message) => {
    const { code, stdout, stderr } = await gpfq(args)
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toMatch(message)
    expect(stderr).toMatch(/^error: [^\n]*\n$/)
  })

  it('colours errors where asked to, and never against NO_COLOR', async () => {
    const args = ['inspect', at('none.onnx')]
    expect((await gpfq(args, { env: { FORCE_COLOR: '1' } })).stderr).toContain('\x1b[31m')
    expect((await gpfq(args, { env: { FORCE_COLOR: '1', NO_COLOR: '1' } })).stderr).not.toContain('\x1b')
  })
})
