/** How models are timed: in turn, the first run not, bounded, and closed at the end. No times are asserted. */
import { describe, expect, it } from 'vitest'
import { createOrtWebRunner } from '#src/calibration/onnxRuntime.js'
import type { Runner, RunnerSession } from '#src/calibration/runner.js'
import { measureSpeed, samplesOf, timeInTurn } from '#src/calibration/speed.js'
import { makeNode } from '#src/onnx/edit.js'
import { encodeProbe } from '#src/onnx/probe.js'
import type { Feeds } from '#src/tensor/tensor.js'

const feeds: Feeds = { x: { type: 'float32', dims: [3, 2], data: new Float32Array(6) } }

/** A session that takes this many milliseconds and writes its name down. */
function session(name: string, milliseconds: number, log: string[]): RunnerSession {
  return {
    inputs: [],
    outputs: [],
    run: async (_feeds, fetches) => {
      log.push(fetches === undefined ? name : `${name}: ${fetches}`)
      const end = performance.now() + milliseconds
      while (performance.now() < end); // as the wasm build, which computes on the calling thread
      return {}
    },
    close: async () => {
      log.push(`${name} closed`)
    },
  }
}

const named = (bytes: Uint8Array): string => (bytes[0] === 0 ? 'float' : 'quantized')

/** Models are one byte: 0 is the float one. */
const runner = (log: string[], milliseconds = 11): Runner => ({
  name: 'clock',
  load: async (bytes) => session(named(bytes), milliseconds, log),
})

const [float, quantized] = [Uint8Array.of(0), Uint8Array.of(1)]

describe('timeInTurn', () => {
  it('runs both in turn after a run of each that is not timed', async () => {
    const log: string[] = []
    const sessions = [session('float', 11, log), session('quantized', 11, log)] as const
    const speed = await timeInTurn(...sessions, feeds, { runs: 3, seconds: 60, fetches: ['y'] })
    expect(log).toEqual(Array.from({ length: 4 }, () => ['float: y', 'quantized: y']).flat())
    expect(speed).toMatchObject({ runs: 3, samples: 3 })
  })

  it('repeats runs that a clock would not tell apart', async () => {
    const log: string[] = []
    const sessions = [session('float', 3, log), session('quantized', 11, log)] as const
    await timeInTurn(...sessions, feeds, { runs: 1, seconds: 60 })
    expect(log.slice(0, 2)).toEqual(['float', 'quantized'])
    const runs = log.filter((name) => name === 'float').length
    expect(runs).toBeGreaterThanOrEqual(2)
    expect(runs).toBeLessThanOrEqual(3)
  })

  it('times one run of each, however short the time', async () => {
    const log: string[] = []
    const sessions = [session('float', 11, log), session('quantized', 11, log)] as const
    const speed = await timeInTurn(...sessions, feeds, { runs: 100, seconds: 0 })
    expect(speed.runs).toBe(1)
    expect(log).toHaveLength(4)
  })

  it('keeps the shortest run, as a time above zero', async () => {
    const sessions = [session('float', 0, []), session('quantized', 0, [])] as const
    const { floatSeconds, quantizedSeconds } = await timeInTurn(...sessions, feeds, { runs: 2, seconds: 60 })
    for (const seconds of [floatSeconds, quantizedSeconds]) {
      expect(seconds).toBeGreaterThan(0)
      expect(seconds).toBeLessThan(0.005)
    }
  })
})

describe('measureSpeed', () => {
  it('closes both models', async () => {
    const log: string[] = []
    const speed = await measureSpeed(runner(log), float, quantized, feeds)
    expect(Object.keys(speed)).toEqual(['floatSeconds', 'quantizedSeconds', 'runs', 'samples'])
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
    const { load } = runner(log, 1)
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
    for (const number of Object.values(speed)) expect(number).toBeGreaterThan(0)
  })
})

it('samples are counted along the first axis', () => {
  expect(samplesOf(feeds)).toBe(3)
  expect(samplesOf({ x: { type: 'float32', dims: [], data: new Float32Array(1) } })).toBe(1)
  expect(samplesOf({})).toBe(1)
})
