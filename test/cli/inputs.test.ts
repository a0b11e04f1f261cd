/** Inputs of real models from the command line: constants, states, sound, dynamic images. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { encode } from 'fast-png'
import { describe, expect, it } from 'vitest'
import { formatNpy } from '#src/data/npy.js'
import { encodeModel } from '#src/onnx/model.js'
import { wavOf } from '../data/sound.js'
import * as b from '../onnx/build.js'
import { gpfq, temporaryFolder } from './run.js'

const at = temporaryFolder()
const WIDTH = 64
const { FLOAT, INT64 } = b.DataType

/** sr, state [2, N, WIDTH] and x [N, WIDTH], as networks of speech have them: y = Relu(x W + state[1]) V · sr / 16000. */
function speech(file: string): string {
  const scalar = { ...b.floats('hertz', [], [16000]) }
  const model = b.model(
    [
      b.node('Cast', ['sr'], ['rate'], { to: FLOAT }),
      b.node('Div', ['rate', 'hertz'], ['factor']),
      b.node('Gather', ['state', 'one'], ['last'], { axis: 0 }),
      b.node('MatMul', ['x', 'w'], ['a']),
      b.node('Add', ['a', 'last'], ['s']),
      b.node('Relu', ['s'], ['r']),
      b.node('MatMul', ['r', 'v'], ['z']),
      b.node('Mul', ['z', 'factor'], ['y']),
    ],
    [scalar, { ...b.ints('one', [], [1]) }, b.noisy('w', [WIDTH, WIDTH], 1), b.noisy('v', [WIDTH, WIDTH], 2)],
    [b.value('sr', INT64, []), b.value('state', FLOAT, [2, 'N', WIDTH]), b.value('x', FLOAT, ['N', WIDTH])],
    ['y'],
  )
  writeFileSync(at(file), encodeModel(model))
  return at(file)
}

const quantize = (path: string, ...args: string[]) =>
  gpfq(['quantize', path, '--bits', '4', '-o', at('o.onnx'), '--force', '--json', ...args])

describe('inputs', () => {
  const path = speech('speech.onnx')
  const sound = Array.from({ length: 40 * WIDTH }, (_, i) => Math.sin(i * i))
  writeFileSync(at('x.wav'), wavOf(sound))
  const states = { type: 'float32', dims: [2, 40, WIDTH], data: b.noise(2 * 40 * WIDTH, 3) } as const
  writeFileSync(at('state.npy'), formatNpy(states))
  const data = ['--calib', `x=${at('x.wav')}`, '--input', 'sr=16000']

  it('that are constants or states, and sound', async () => {
    const zeros = await quantize(path, ...data, '--input', 'state=zeros')
    expect(zeros).toMatchObject({ code: 0 })
    const errors = (text: string) =>
      JSON.parse(text).layers.map(({ relativeError }: { relativeError: number }) => relativeError)
    const given = await quantize(path, ...data, '--calib', `state=${at('state.npy')}`)
    expect(given).toMatchObject({ code: 0 })
    expect(JSON.parse(given.stdout).layers[0]?.samples).toBe(32)
    expect(errors(given.stdout)[0]).toBe(errors(zeros.stdout)[0])
    expect(errors(given.stdout)[1]).not.toBe(errors(zeros.stdout)[1])
    const bytes = readFileSync(at('o.onnx'))
    await quantize(path, ...data, '--calib', `state=${at('state.npy')}`, '--batch', '7')
    expect(readFileSync(at('o.onnx'))).toEqual(bytes)
  })

  it('with samples on another axis, where ranges are found for each sample', async () => {
    const run = await quantize(
      path,
      ...[...data, '--calib', `state=${at('state.npy')}`],
      ...['--activations', '8', '--activations-for', '*=8'],
    )
    expect(run).toMatchObject({ code: 0 })
    const { layers } = JSON.parse(run.stdout)
    expect(layers.map(({ ranges }: { ranges: string }) => ranges)).toContain('dynamic')
  })

  it('are used by eval and compare too', async () => {
    const labels = { type: 'int64', dims: [40], data: new BigInt64Array(40) } as const
    writeFileSync(at('labels.npy'), formatNpy(labels))
    const inputs = ['--data', `x=${at('x.wav')}`, '--input', 'sr=16000', '--input', 'state=ones']
    const evaluated = await gpfq(['eval', path, ...inputs, '--labels', at('labels.npy'), '--json'])
    expect(JSON.parse(evaluated.stdout)).toMatchObject({ samples: 40 })
    const compared = await gpfq(['compare', path, at('o.onnx'), ...inputs, '--json', '--batch', '16'])
    expect(JSON.parse(compared.stdout)).toMatchObject({ samples: 40, speed: { samples: 16 } })
  })

  it('are refused in words', async () => {
    const cases: [string[], string][] = [
      [
        data,
        'data: expected samples for input state, got none; add it as NAME=DATA, or with --input NAME=VALUE',
      ],
      [[...data, '--input', 'h=zeros'], '--input: expected names of model inputs (sr, state, x), got "h"'],
      [
        [...data.slice(0, 2), '--input', 'state=zeros', '--input', 'sr=1.5'],
        'input sr: expected integers that fit int64, got 1.5 (float64)',
      ],
      [
        [...data, '--input', 'state=file.npy'],
        'Expected NAME=VALUE with a number, numbers separated by commas',
      ],
      [
        [...data, '--input', 'state=zeros', '--batch-axis', 'x=2'],
        'input x: expected an integer from 0 to 1, got 2',
      ],
      [[...data, '--batch-axis', 'x'], 'Expected NAME=AXIS, for instance state=1.'],
      [[...data, '--image-size', '640'], 'Expected WIDTHxHEIGHT in pixels'],
    ]
    for (const [args, message] of cases) {
      const { code, stderr } = await quantize(path, ...args)
      expect(stderr).toContain(message)
      expect(code).toBeGreaterThan(0)
    }
  })

  it('that are images of any size', async () => {
    mkdirSync(at('photos'))
    for (const [i, [width, height]] of [
      [64, 32],
      [40, 70],
      [70, 40],
    ].entries()) {
      const pixels = Uint8Array.from({ length: width! * height! * 3 }, (_, j) => (j * j * (i + 3)) % 251)
      writeFileSync(
        at(`photos/${i}.png`),
        encode({ width: width!, height: height!, channels: 3, data: pixels }),
      )
    }
    const model = b.model(
      [
        b.node('Conv', ['x', 'w'], ['a'], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] }),
        b.node('Relu', ['a'], ['r']),
        b.node('Conv', ['r', 'v'], ['y'], { kernel_shape: [3, 3], strides: [2, 2] }),
      ],
      [b.noisy('w', [8, 3, 3, 3], 1), b.noisy('v', [8, 8, 3, 3], 2)],
      [b.value('x', FLOAT, ['N', 3, 'H', 'W'])],
      [b.value('y', FLOAT)],
    )
    writeFileSync(at('detector.onnx'), encodeModel(model))
    const calib = [at('detector.onnx'), '--calib', at('photos'), '--scale', '255']
    const none = await gpfq(['quantize', ...calib, '-o', at('o.onnx'), '--force'])
    expect(none.stderr).toMatch(/give it as --image-size 640x640, or --image-size own/)
    for (const size of ['own', '48x32']) {
      const run = await gpfq([
        'quantize',
        ...calib,
        '--image-size',
        size,
        '-o',
        at('o.onnx'),
        '--force',
        '--json',
      ])
      expect(run).toMatchObject({ code: 0 })
      expect(JSON.parse(run.stdout).layers.map(({ samples }: { samples: number }) => samples)[0]).toBe(
        size === 'own' ? 3 * 32 * 64 : 3 * 48 * 32,
      )
    }
  })

  it('that choose the branch of an If, which the written model then holds alone', async () => {
    const branch = (weight: string, seed: number) =>
      b.graph(
        [b.node('MatMul', ['x', weight], ['m'], {}, weight)],
        [b.noisy(weight, [WIDTH, WIDTH], seed)],
        [],
        ['m'],
      )
    const branches = { then_branch: branch('w16', 1), else_branch: branch('w8', 2) }
    const model = b.model(
      [b.node('Equal', ['sr', 'rate'], ['c']), b.node('If', ['c'], ['y'], branches, 'if')],
      [b.ints('rate', [], [16000])],
      [b.value('x', FLOAT, ['N', WIDTH]), b.value('sr', INT64, [])],
      ['y'],
    )
    writeFileSync(at('rates.onnx'), encodeModel(model))
    const run = ['quantize', at('rates.onnx'), '--json', '--input', 'sr=8000']
    const { notes } = JSON.parse((await gpfq([...run, '--dry-run'])).stdout)
    expect(notes).toContainEqual({
      code: 'IF_RESOLVED',
      place: "If 'if'",
      text: 'the written model holds its else branch only, which runs with sr = 8000',
    })
    const { stdout, code } = await gpfq([...run, '--calib', `x=${at('x.wav')}`, '-o', at('8k.onnx')])
    expect(code).toBe(0)
    const { layers } = JSON.parse(stdout)
    expect(layers.map(({ name, rounded }: { name: string; rounded: null }) => [name, rounded])).toEqual([
      ['w8', null],
    ])
    const both = await gpfq(['quantize', at('rates.onnx'), '--dry-run'])
    expect(both.stdout).toContain(
      "rounded: it is in the body of If 'if', whose tensors calibration does not see",
    )
  })
})
