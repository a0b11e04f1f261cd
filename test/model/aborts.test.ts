/**
 * An abort ends every wait for others: for an engine, for samples, for the bytes of a model. Each of them never answers here,
 * so a test that ends shows that nothing waits for it.
 */
import { create } from '@bufbuild/protobuf'
import { StringStringEntryProtoSchema, TensorProto_DataLocation, TensorProtoSchema } from 'onnx-buf'
import { describe, expect, it } from 'vitest'
import { createOrtWebRunner } from '#src/calibration/onnxRuntime.js'
import type { Runner, RunnerSession } from '#src/calibration/runner.js'
import { compareModels } from '#src/model/compare.js'
import { evaluate } from '#src/model/evaluate.js'
import { planModel, quantizeModel } from '#src/model/quantizeModel.js'
import { encodeModel } from '#src/onnx/model.js'
import { openModel } from '#src/onnx/openModel.js'
import type { Feeds } from '#src/tensor/tensor.js'
import * as b from '../onnx/build.js'

const net = encodeModel(
  b.model(
    [b.node('Gemm', ['x', 'w'], ['h'], {}, 'fc1'), b.node('Gemm', ['h', 'v'], ['y'], {}, 'fc2')],
    [b.floats('w', [6, 5], b.noise(30, 1)), b.floats('v', [5, 4], b.noise(20, 2))],
    [b.value('x', b.DataType.FLOAT, ['n', 6])],
    [b.value('y', b.DataType.FLOAT, ['n', 4])],
  ),
)
const batch: Feeds = { x: { type: 'float32', dims: [20, 6], data: b.noise(120, 3) } }
const labels = { type: 'int32', dims: [40], data: new Int32Array(40) } as const
const never = <T>(): Promise<T> => new Promise<T>(() => {})
const inner = await createOrtWebRunner()

/** A runner that stops answering at its nth call of one kind, and then aborts. */
function silentRunner(at: 'load' | 'run', nth: number, abort: () => void) {
  const open = { sessions: 0 }
  let calls = 0
  let answer: () => void = () => {}
  const silent = async (kind: 'load' | 'run'): Promise<void> => {
    if (kind !== at || ++calls !== nth) return
    setTimeout(abort)
    await new Promise<void>((resolve) => {
      answer = resolve
    })
  }
  const runner: Runner = {
    name: 'silent',
    async load(model) {
      await silent('load')
      const session = await inner.load(model)
      open.sessions++
      const own: RunnerSession = {
        inputs: session.inputs,
        outputs: session.outputs,
        async run(feeds, fetches) {
          await silent('run')
          return session.run(feeds, fetches)
        },
        async close() {
          open.sessions--
          await session.close()
        },
      }
      return own
    },
  }
  return { runner, open, answer: () => answer() }
}

/** Batches that stop coming after the first, and then abort; `ended` is called when they are told to end, and never answers. */
const silentBatches = (abort: () => void, ended: () => void): AsyncIterable<Feeds> => ({
  [Symbol.asyncIterator]() {
    let given = false
    return {
      async next() {
        if (given) {
          setTimeout(abort)
          await never()
        }
        given = true
        return { done: false, value: batch }
      },
      return() {
        ended()
        return never()
      },
    }
  },
})

interface Run {
  readonly runner: Runner
  readonly feeds: Iterable<Feeds> | AsyncIterable<Feeds>
  readonly signal: AbortSignal
}

const RUNS: Readonly<Record<string, (run: Run) => Promise<unknown>>> = {
  quantizeModel: ({ runner, feeds, signal }) =>
    quantizeModel(net, { runner, calibration: feeds, signal, threads: 1 }),
  evaluate: (run) => evaluate({ ...run, model: net, samples: 40, labels }),
  compareModels: (run) => compareModels({ ...run, float: net, quantized: net, samples: 40 }),
}

describe.each(Object.entries(RUNS))('%s', (name, start) => {
  const loads = name === 'evaluate' ? [1] : [1, 2] // it has one model
  const calls = [...loads.map((nth) => ['load', nth] as const), ['run', 1] as const, ['run', 2] as const]
  it.each(calls)('ends while the engine does not answer: %s, call %i', async (at, nth) => {
    const stop = new AbortController()
    const reason = new Error('enough')
    const { runner, open, answer } = silentRunner(at, nth, () => stop.abort(reason))
    const run = start({ runner, feeds: [batch, batch], signal: stop.signal })
    expect(await run.catch((error: unknown) => error)).toBe(reason)
    answer()
    await expect.poll(() => open.sessions).toBe(0) // what came too late is closed
  })

  it('ends while no batch comes, and tells the source to end without waiting for it', async () => {
    const stop = new AbortController()
    const reason = new Error('enough')
    let ends = 0
    const feeds = silentBatches(
      () => stop.abort(reason),
      () => ends++,
    )
    const run = start({ runner: inner, feeds, signal: stop.signal })
    expect(await run.catch((error: unknown) => error)).toBe(reason)
    expect(ends).toBe(1)
  })

  it('ends a source as a loop does where there is no abort', async () => {
    const seen: string[] = []
    async function* feeds(): AsyncIterable<Feeds> {
      try {
        yield batch
        yield { x: { type: 'float32', dims: [2, 7], data: b.noise(14) } }
      } finally {
        await new Promise((resolve) => setTimeout(resolve, 5))
        seen.push('ended')
      }
    }
    const run = start({ runner: inner, feeds: feeds(), signal: new AbortController().signal })
    await run.then(null, () => seen.push('failed'))
    expect(seen).toEqual(['ended', 'failed'])
  })
})

describe('reading a model', () => {
  const reason = new Error('enough')
  const silent = { byteLength: 100, slice: () => never<Uint8Array>() }
  const elsewhere = create(TensorProtoSchema, {
    ...{ name: 'w', dims: [6n, 5n], dataType: b.DataType.FLOAT },
    dataLocation: TensorProto_DataLocation.EXTERNAL,
    externalData: [create(StringStringEntryProtoSchema, { key: 'location', value: 'weights.bin' })],
  })
  const external = encodeModel(
    b.model(
      [b.node('Gemm', ['x', 'w'], ['y'], {}, 'fc')],
      [elsewhere],
      [b.value('x', b.DataType.FLOAT, ['n', 6])],
      [b.value('y', b.DataType.FLOAT, ['n', 5])],
    ),
  )

  it('ends while its source does not answer', async () => {
    const stop = new AbortController()
    const opened = openModel(silent, undefined, stop.signal)
    stop.abort(reason)
    await expect(opened).rejects.toBe(reason)
  })

  it('ends while external data does not come', async () => {
    const stop = new AbortController()
    const options = { readExternalData: () => never<Uint8Array>(), signal: stop.signal }
    const planned = planModel(external, options)
    setTimeout(() => stop.abort(reason))
    await expect(planned).rejects.toBe(reason)
  })
})
