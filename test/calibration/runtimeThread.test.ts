/** ONNX Runtime in a thread of its own: the same bytes as without one, and the calling thread stays free. */
import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { promisify } from 'node:util'
import type { Worker } from 'node:worker_threads'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createOrtHere, createOrtWebRunner } from '#src/calibration/onnxRuntime.js'
import type { Runner } from '#src/calibration/runner.js'
import { endThread } from '#src/calibration/runtimeThread.js'
import { quantizeModel } from '#src/model/quantizeModel.js'
import { encodeModel } from '#src/onnx/model.js'
import type { Tensor } from '#src/tensor/tensor.js'
import { temporaryFolder } from '../cli/run.js'
import * as b from '../onnx/build.js'
import { longModel } from './longModel.js'

const at = temporaryFolder()
const net = encodeModel(
  b.model(
    [b.node('Gemm', ['x', 'w'], ['y'], {}, 'fc')],
    [b.floats('w', [6, 5], b.noise(30, 1))],
    [b.value('x', b.DataType.FLOAT, ['n', 6])],
    [b.value('y', b.DataType.FLOAT, ['n', 5])],
  ),
)
const x = b.noise(120, 3)
const batch = (data: Float32Array): { x: Tensor } => ({ x: { type: 'float32', dims: [20, 6], data } })

const threads: Worker[] = []
const watch = (worker: Worker): void => void threads.push(worker)
let runner: Runner

beforeAll(async () => {
  process.on('worker', watch)
  runner = await createOrtWebRunner()
})
afterAll(async () => {
  process.off('worker', watch)
  await endThread()
})

describe('what comes back', () => {
  it('is what a runner in this thread gives', async () => {
    const here = await createOrtHere('web', 1)
    const [apart, own] = [await runner.load(net), await here.load(net)]
    expect(await apart.run(batch(x), ['y'])).toEqual(await own.run(batch(x), ['y']))
    expect({ ...apart, run: null, close: null, seconds: null }).toEqual({
      ...{ inputs: own.inputs, outputs: own.outputs },
      ...{ run: null, close: null, seconds: null },
    })
    expect(apart.seconds).toBeGreaterThan(0)
    expect(runner.name).toBe(here.name)
    await Promise.all([apart.close(), own.close()])
  })

  it('leaves the caller’s arrays alone: views, and views of shared memory', async () => {
    const session = await runner.load(net)
    const expected = await session.run(batch(x))
    const heap = new Float32Array(1000)
    const shared = new Float32Array(new SharedArrayBuffer(4000))
    for (const memory of [heap, shared]) {
      memory.set(x, 500)
      expect(await session.run(batch(memory.subarray(500, 620)))).toEqual(expected)
      expect(memory.length).toBe(1000)
    }
    expect(net.length).toBeGreaterThan(0)
    await session.close()
  })

  it('is an error with its code where a model does not load', async () => {
    await expect(runner.load(Uint8Array.of(1, 2, 3))).rejects.toMatchObject({ code: 'RUNTIME_FAILED' })
  })
})

it('timers go on while a model runs, and an abort does not wait for it', async () => {
  const { model, feeds } = longModel(8)
  const stop = new AbortController()
  const reason = new Error('enough')
  const events: string[] = []
  let ticks = 0
  const run = quantizeModel(model, {
    ...{ runner, calibration: [feeds], threads: 1, signal: stop.signal },
    onProgress: ({ type }) => {
      events.push(type)
      if (type !== 'plan') return
      const timer = setInterval(() => {
        if (++ticks < 20) return
        clearInterval(timer)
        stop.abort(reason)
      }, 10)
    },
  })
  expect(await run.catch((error: unknown) => error)).toBe(reason)
  expect(events).toEqual(['plan']) // the first run of the network has not ended
})

it('a thread that dies is an error of its calls, and the next model starts another', async () => {
  const { model, feeds } = longModel(8) // so long that it is under way when the thread dies
  const session = await runner.load(model)
  const pending = expect(session.run(feeds)).rejects.toMatchObject({ code: 'RUNTIME_FAILED' })
  await threads
    .filter(({ threadId }) => threadId > 0)
    .at(0)
    ?.terminate()
  await pending
  const next = await runner.load(net)
  expect(Object.keys(await next.run(batch(x)))).toEqual(['y'])
})

it('keeps no process alive when it is idle', async () => {
  writeFileSync(at('net.onnx'), net)
  const script = `
    import { readFileSync } from 'node:fs'
    import { createOrtWebRunner } from ${JSON.stringify(new URL('../../dist/src/onnx.js', import.meta.url).href)}
    const session = await (await createOrtWebRunner()).load(readFileSync(${JSON.stringify(at('net.onnx'))}))
    const { y } = await session.run({ x: { type: 'float32', dims: [1, 6], data: new Float32Array(6) } })
    console.log(y.dims.join())`
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', script], {
    timeout: 100_000, // where it hangs, this ends it, which is an error
  })
  expect(stdout).toBe('1,5\n')
}, 120_000)

it('gives the memory of large models back once smaller ones run', async () => {
  const relu = encodeModel(
    b.model(
      [b.node('Relu', ['x'], ['y'])],
      [],
      [b.value('x', b.DataType.FLOAT, ['n'])],
      [b.value('y', b.DataType.FLOAT, ['n'])],
    ),
  )
  writeFileSync(at('relu.onnx'), relu)
  const script = `
    import { readFileSync } from 'node:fs'
    import { createOrtWebRunner } from ${JSON.stringify(new URL('../../dist/src/onnx.js', import.meta.url).href)}
    const runner = await createOrtWebRunner()
    const resident = []
    for (const size of [4, 2 ** 25, 4, 4]) {
      const session = await runner.load(readFileSync(${JSON.stringify(at('relu.onnx'))}))
      const { y } = await session.run({ x: { type: 'float32', dims: [size], data: new Float32Array(size).fill(-1) } })
      if (y.data.some((value) => value !== 0)) throw new Error('wrong values')
      await session.close()
      gc()
      await new Promise((resolve) => setTimeout(resolve, 200))
      resident.push(process.memoryUsage().rss / 2 ** 20)
    }
    console.log(JSON.stringify(resident))`
  const args = ['--expose-gc', '--input-type=module', '--eval', script]
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 100_000 })
  const [first, , stale, last] = JSON.parse(stdout) as [number, number, number, number]
  expect(stale - first).toBeGreaterThan(200) // 128 MiB each of x and y, in the memory of the wasm build
  expect(last - first).toBeLessThan(100)
}, 120_000)
