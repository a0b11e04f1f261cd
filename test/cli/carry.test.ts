/** `--carry` from the command line, against states that are stepped by hand and given as data. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { beforeAll, describe, expect, it } from 'vitest'
import { createOrtWebRunner } from '#src/calibration/onnxRuntime.js'
import { switchInputs } from '#src/cli/data.js'
import { formatNpy } from '#src/data/npy.js'
import { wavOf } from '../data/sound.js'
import { HIDDEN, recurrent, stepByHand, WIDTH } from '../model/recurrent.js'
import * as b from '../onnx/build.js'
import { gpfq, temporaryFolder } from './run.js'

const at = temporaryFolder()
const path = at('recurrent.onnx')
const STEPS = 40

const quantize = (out: string, ...args: string[]) =>
  gpfq(['quantize', path, '--levels', '7', '-o', at(out), '--force', '--json', ...args])

/** Classes of the output y of each step, of two sequences after each other. */
let classes: number[]

beforeAll(async () => {
  writeFileSync(path, recurrent())
  writeFileSync(at('other.onnx'), recurrent('N', 9))
  const runner = await createOrtWebRunner({ threads: 1 })
  const session = await runner.load(recurrent())
  const sounds = [1, 2].map((seed) => b.noise(STEPS * WIDTH, seed))
  mkdirSync(at('sounds'))
  classes = []
  const states: number[][] = []
  for (const [i, sound] of sounds.entries()) {
    const values = sound.subarray(0, (STEPS - 10 * i) * WIDTH)
    writeFileSync(at(`sounds/${i}.wav`), wavOf(Array.from(values), { bits: 32, tag: 3 }))
    const found = await stepByHand(session, values)
    classes.push(
      ...found.outputs.map((y) => Array.from(y, Number).indexOf(Math.max(...Array.from(y, Number)))),
    )
    states.push(...found.states.map((state) => Array.from(state, Number)))
  }
  await session.close()
  const layers = [0, 1].map((layer) =>
    states.slice(0, STEPS).map((state) => state.slice(layer * HIDDEN, (layer + 1) * HIDDEN)),
  )
  const data = Float32Array.from(layers.flat(2))
  writeFileSync(at('state.npy'), formatNpy({ type: 'float32', dims: [2, STEPS, HIDDEN], data }))
  const labels = { type: 'int32', dims: [classes.length], data: Int32Array.from(classes) } as const
  writeFileSync(at('labels.npy'), formatNpy(labels))
})

describe('--carry', () => {
  it('calibrates on the states that the model gives itself', async () => {
    const one = ['--calib', `x=${at('sounds/0.wav')}`]
    const carried = await quantize('carried.onnx', ...one, '--carry', 'stateN=state')
    expect(carried).toMatchObject({ code: 0 })
    expect(carried.stderr).toContain(`samples         ${STEPS} of ${STEPS}`)
    // Batches of one sample are the runs that were made by hand.
    await quantize('given.onnx', ...one, '--calib', `state=${at('state.npy')}`, '--batch', '1')
    expect(readFileSync(at('carried.onnx'))).toEqual(readFileSync(at('given.onnx')))
    await quantize('zeros.onnx', ...one, '--input', 'state=zeros')
    expect(readFileSync(at('carried.onnx'))).not.toEqual(readFileSync(at('zeros.onnx')))
  })

  it('takes the files of a folder as sequences, in batches of any size', async () => {
    const all = ['--calib', `x=${at('sounds')}`, '--carry', 'stateN=state']
    expect(await quantize('all.onnx', ...all)).toMatchObject({ code: 0 })
    expect(await quantize('small.onnx', ...all, '--batch', '1')).toMatchObject({ code: 0 })
    expect(readFileSync(at('all.onnx'))).toEqual(readFileSync(at('small.onnx')))
    const tested = await quantize('tested.onnx', ...all, '--test', `x=${at('sounds/1.wav')}`)
    expect(JSON.parse(tested.stdout).heldOut.samples).toBe(STEPS - 10)
  })

  it('goes through eval and compare, each model with its own states', async () => {
    const data = ['--data', `x=${at('sounds')}`, '--carry', 'stateN=state']
    const labels = ['--labels', at('labels.npy'), '--json']
    const evaluated = await gpfq(['eval', path, ...data, ...labels])
    expect(JSON.parse(evaluated.stdout)).toMatchObject({ top1: 1, samples: classes.length })
    const without = await gpfq(['eval', path, ...data.slice(0, 2), '--input', 'state=zeros', ...labels])
    expect(JSON.parse(without.stdout).top1).toBeLessThan(1)
    const same = await gpfq(['compare', path, path, ...data, '--json'])
    expect(JSON.parse(same.stdout).outputs).toMatchObject([{ sqnrDb: null }, { sqnrDb: null }])
    const other = await gpfq(['compare', path, at('other.onnx'), ...data, '--json'])
    expect(JSON.parse(other.stdout)).toMatchObject({ samples: classes.length, speed: { samples: 2 } })
  })

  it('is offered by inspect', async () => {
    const { stdout } = await gpfq(['inspect', path])
    expect(stdout).toContain('output  y\noutput  stateN: perhaps a state, --carry stateN=state\n')
    expect(JSON.parse((await gpfq(['inspect', path, '--json'])).stdout).states).toEqual({ stateN: 'state' })
  })

  it('makes an integer that is given another thing than a switch of Ifs', () => {
    const inputs = [{ name: 'position', type: 'int64', dims: [1] }]
    const input = { position: 0 }
    expect(Object.keys(switchInputs(inputs, { input }))).toEqual(['position'])
    expect(switchInputs(inputs, { input, carry: { next: 'position' } })).toEqual({})
  })

  it('is refused in words', async () => {
    const data = ['--calib', `x=${at('sounds')}`]
    const cases: [string[], string][] = [
      [['--carry', 'stateN'], 'Expected OUTPUT=INPUT, for instance stateN=state.'],
      [['--carry', 'hn=state'], "--carry: expected an output of the model (y, stateN), got 'hn'"],
      [['--carry', 'stateN=h'], "--carry: expected an input of the model (x, state), got 'h'"],
      [['--carry', 'stateN=state', '--carry', 'y=state'], "--carry: expected one output for input 'state'"],
      [['--carry', 'stateN=state', '--carry', 'stateN=x'], 'Expected output stateN once, got it twice.'],
      [
        ['--carry', 'stateN=state', '--calib', `state=${at('state.npy')}`],
        'its first value can be given with --input NAME=VALUE',
      ],
      [
        ['--carry', 'y=state'],
        "--carry: expected (2, N, 3) of float32 from output 'y', as input 'state' takes it, got (N, 4) of float32",
      ],
    ]
    for (const [args, message] of cases) {
      const { code, stderr } = await quantize('no.onnx', ...data, ...args)
      expect(stderr).toContain(message)
      expect(code).toBeGreaterThan(0)
    }
  })
})
