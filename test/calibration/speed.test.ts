/** How models are timed: in turn, the first run not, bounded, and closed at the end. Times are those of a clock that the tests turn. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createOrtWebRunner } from '#src/calibration/onnxRuntime.js'
import type { Runner, RunnerSession } from '#src/calibration/runner.js'
import { measureSpeed, samplesOf, timeInTurn } from '#src/calibration/speed.js'
import { makeNode } from '#src/onnx/edit.js'
import { encodeProbe } from '#src/onnx/probe.js'
import type { Feeds } from '#src/tensor/tensor.js'

const feeds: Feeds = { x: { type: 'float32', dims: [3, 2], data: new Float32Array(6) } }

/** Stands in for performance.now: milliseconds that sessions add to, in whole steps, and a little for each look at it. */
let time = 0
let clockStep = 0.001

beforeEach(() => {
  clockStep = 0.001
  vi.spyOn(performance, 'now').mockImplementation(() => {
    time += 0.0001
    return Math.floor(time / clockStep) * clockStep
  })
})
afterEach(() => vi.restoreAllMocks())

/** A session whose runs take these milliseconds, the last of them again and again. It writes its name down. */
function session(name: string, milliseconds: readonly number[], log: string[] = []): RunnerSession {
  let run = 0
  return {
    inputs: [],
    outputs: [],
    run: async (_feeds, fetches) => {
      log.push(fetches === undefined ? name : `${name}: ${fetches}`)
      time += milliseconds[Math.min(run++, milliseconds.length - 1)]!
      return {}
    },
    close: async () => {
      log.push(`${name} closed`)
    },
  }
}

const named = (bytes: Uint8Array): string => (bytes[0] === 0 ? 'float' : 'quantized')

/** Models are one byte: 0 is the float one. */
const runner = (log: string[]): Runner => ({
  name: 'clock',
  load: async (bytes) => session(named(bytes), [1], log),
})

const [float, quantized] = [Uint8Array.of(0), Uint8Array.of(1)]

describe('timeInTurn', () => {
  it('runs both in turn, and keeps the shortest run but the first', async () => {
    const log: string[] = []
    const sessions = [session('float', [1, 9, 6, 7], log), session('quantized', [1, 3, 5, 4], log)] as const
    const speed = await timeInTurn(...sessions, feeds, { runs: 3, seconds: 60, fetches: ['y'] })
    expect(log).toEqual(Array.from({ length: 4 }, () => ['float: y', 'quantized: y']).flat())
    expect(speed).toMatchObject({ runs: 3, samples: 3 })
    expect(speed.floatSeconds).toBeCloseTo(0.006, 4)
    expect(speed.quantizedSeconds).toBeCloseTo(0.003, 4)
  })

  it('repeats runs that the clock cannot tell apart', async () => {
    clockStep = 1 // as in some pages
    const log: string[] = []
    const sessions = [session('float', [0.25], log), session('quantized', [40], log)] as const
    const speed = await timeInTurn(...sessions, feeds, { runs: 1, seconds: 60 })
    const repeated = log.filter((name) => name === 'float').length - 1
    expect(log).toEqual(['float', 'quantized', ...new Array<string>(repeated).fill('float'), 'quantized'])
    expect(repeated).toBeGreaterThan(70)
    expect(speed.floatSeconds / 0.00025).toBeCloseTo(1, 1)
  })

  it('stops before the run that would be too long', async () => {
    const sessions = [session('float', [300]), session('quantized', [100])] as const
    expect((await timeInTurn(...sessions, feeds, { runs: 100, seconds: 2.2 })).runs).toBe(4) // of 5 with the first
    expect((await timeInTurn(...sessions, feeds, { runs: 100, seconds: 0 })).runs).toBe(1)
  })

  it('gives a time above zero for a run that takes none', async () => {
    const sessions = [session('float', [0]), session('quantized', [0])] as const
    const { floatSeconds, quantizedSeconds } = await timeInTurn(...sessions, feeds, { runs: 2, seconds: 60 })
    for (const seconds of [floatSeconds, quantizedSeconds]) expect(seconds).toBeGreaterThan(0)
  })
})

describe('measureSpeed', () => {
  it('gives none where the clock stands still while code runs', async () => {
    vi.spyOn(performance, 'now').mockReturnValue(5)
    const log: string[] = []
    expect(await measureSpeed(runner(log), float, quantized, feeds)).toBeNull()
    expect(log.slice(-2)).toEqual(['quantized closed', 'float closed'])
  })

  it('closes both models', async () => {
    const log: string[] = []
    const speed = await measureSpeed(runner(log), float, quantized, feeds)
    expect(Object.keys(speed ?? {})).toEqual(['floatSeconds', 'quantizedSeconds', 'runs', 'samples'])
    expect(log.slice(-2)).toEqual(['quantized closed', 'float closed'])
  })

  it('closes what it has loaded when the other does not load, or a run fails', async () => {
    const log: string[] = []
    const { load } = runner(log)
    const halved: Runner = {
      name: 'halved',
      load: (bytes) => (named(bytes) === 'float' ? load(bytes) : Promise.reject(new Error('no kernel'))),
    }
    await expect(measureSpeed(halved, float, quantized, feeds)).rejects.toThrow('no kernel')
    expect(log).toEqual(['float closed'])
    const failing: Runner = {
      name: 'failing',
      load: async (bytes) => ({ ...(await load(bytes)), run: () => Promise.reject(new Error('too large')) }),
    }
    log.length = 0
    await expect(measureSpeed(failing, float, quantized, feeds)).rejects.toThrow('too large')
    expect(log).toEqual(['quantized closed', 'float closed'])
  })

  it('stops between runs when aborted, and closes both', async () => {
    const controller = new AbortController()
    const log: string[] = []
    const { load } = runner(log)
    const aborting: Runner = {
      name: 'aborting',
      load: async (bytes) => {
        const loaded = await load(bytes)
        return {
          ...loaded,
          run: (fed, fetches) => {
            if (log.length === 5) controller.abort(new Error('enough'))
            return loaded.run(fed, fetches)
          },
        }
      },
    }
    await expect(measureSpeed(aborting, float, quantized, feeds, controller.signal)).rejects.toThrow('enough')
    expect(log).toHaveLength(6 + 2)
    expect(log.slice(-2)).toEqual(['quantized closed', 'float closed'])
    const aborted = AbortSignal.abort(new Error('before'))
    await expect(measureSpeed(runner(log), float, quantized, feeds, aborted)).rejects.toThrow('before')
    expect(log).toHaveLength(8)
  })

  it('times models in ONNX Runtime', async () => {
    vi.restoreAllMocks()
    const model = (op: string) =>
      encodeProbe({
        opset: 13,
        inputs: [{ name: 'x', type: 'float32', dims: [3, 2] }],
        constants: [],
        nodes: [makeNode(op, ['x'], 'y')],
        outputs: [{ name: 'y', type: 'float32', dims: [3, 2] }],
      })
    const speed = await measureSpeed(await createOrtWebRunner(), model('Relu'), model('Neg'), feeds)
    expect(speed).toMatchObject({ samples: 3 })
    for (const number of Object.values(speed ?? {})) expect(number).toBeGreaterThan(0)
  })
})

it('samples are counted along the first axis', () => {
  expect(samplesOf(feeds)).toBe(3)
  expect(samplesOf({ x: { type: 'float32', dims: [], data: new Float32Array(1) } })).toBe(1)
  expect(samplesOf({})).toBe(1)
})
