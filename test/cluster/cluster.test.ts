/**
 * The promise of a cluster: whatever the number of workers, and whatever happens to them and to what is stored, the written model
 * has the bytes of one machine. A Redis of the test's own, and workers in processes of their own.
 */
import type { ChildProcess } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { createOrtWebRunner } from '#src/calibration/onnxRuntime.js'
import type { Runner } from '#src/calibration/runner.js'
import { openCluster } from '#src/cluster/cluster.js'
import { cutShards } from '#src/cluster/cutShards.js'
import { openStore } from '#src/cluster/store.js'
import { folderStore } from '#src/data/folderStore.js'
import { quantizeModel } from '#src/model/quantizeModel.js'
import { encodeModel } from '#src/onnx/model.js'
import type { QuantizeModelOptions } from '#src/options.js'
import type { Feeds } from '#src/tensor/tensor.js'
import * as b from '../onnx/build.js'
import {
  buildWorker,
  ended,
  hasRedis,
  type Redis,
  startRedis,
  startWorker,
  type TakenJob,
} from './machines.js'

/** A convolution, a residual branch, and a dense layer whose weight is tied. */
function smallModel(): Uint8Array {
  const noise = (name: string, dims: number[], seed: number) => {
    const count = dims.reduce((product, dim) => product * dim, 1)
    return b.floats(name, dims, b.noise(count, seed))
  }
  const pads = [1, 1, 1, 1]
  return encodeModel(
    b.model(
      [
        b.node('Conv', ['x', 'w1', 'b1'], ['c1'], { pads }, 'first'),
        b.node('Relu', ['c1'], ['r1']),
        b.node('Conv', ['r1', 'w2'], ['c2'], { pads }, 'second'),
        b.node('Add', ['c2', 'r1'], ['s']),
        b.node('GlobalAveragePool', ['s'], ['p']),
        b.node('Flatten', ['p'], ['f']),
        b.node('MatMul', ['f', 'w4'], ['d']),
        b.node('Relu', ['d'], ['r4']),
        b.node('MatMul', ['r4', 'w4'], ['e']),
        b.node('Gemm', ['e', 'w5', 'b5'], ['y'], { transB: 1 }, 'last'),
      ],
      [
        ...[noise('w1', [8, 3, 3, 3], 1), noise('b1', [8], 2), noise('w2', [8, 8, 3, 3], 3)],
        ...[noise('w4', [8, 8], 5), noise('w5', [4, 8], 6), noise('b5', [4], 7)],
      ],
      [b.value('x', b.DataType.FLOAT, ['n', 3, 8, 8])],
      ['y'],
    ),
  )
}

/** A layer that is worth solving elsewhere. */
const wideModel = (): Uint8Array =>
  encodeModel(
    b.model(
      [b.node('MatMul', ['x', 'w'], ['h'], {}, 'wide'), b.node('MatMul', ['h', 'v'], ['y'], {}, 'narrow')],
      [b.floats('w', [1152, 512], b.noise(1152 * 512, 1)), b.floats('v', [512, 4], b.noise(2048, 2))],
      [b.value('x', b.DataType.FLOAT, ['n', 1152])],
      ['y'],
    ),
  )

type RunSettings = Pick<
  QuantizeModelOptions,
  'holdout' | 'activations' | 'biasCorrection' | 'checkpoint' | 'cluster' | 'signal' | 'onProgress'
>

const MODEL = smallModel()
const CALIBRATION: Feeds[] = Array.from({ length: 9 }, (_, i) => ({
  x: { type: 'float32', dims: [7, 3, 8, 8], data: b.noise(7 * 3 * 8 * 8, 100 + i) },
}))

it('cuts the samples between segments, each once, in order', () => {
  const inputs = [{ name: 'x', type: 'float32', dims: ['n', 3, 8, 8] }]
  const shards = cutShards({ batches: CALIBRATION, first: 0, total: 63 }, inputs, 3)
  const counts = shards.map(({ batches }) => batches.reduce((sum, { x }) => sum + x!.dims[0]!, 0))
  expect([shards.map(({ first }) => first), counts]).toEqual([
    [0, 20, 44],
    [20, 24, 19],
  ])
  const values = (batches: readonly Feeds[]) => batches.flatMap(({ x }) => [...x!.data].map(Number))
  expect(shards.flatMap(({ batches }) => values(batches))).toEqual(values(CALIBRATION))
})

describe.skipIf(!hasRedis)('a cluster (needs redis-server)', () => {
  const children: ChildProcess[] = []
  let folder: string
  let redis: Redis
  let queue: string
  let runner: Runner

  beforeAll(async () => {
    await buildWorker()
    folder = mkdtempSync(join(tmpdir(), 'gpfq-cluster-'))
    redis = await startRedis(folder)
    queue = redis.url
    runner = await createOrtWebRunner({ threads: 1 })
  }, 30_000)

  afterEach(async () => {
    for (const child of children.splice(0)) await ended(child, 'SIGTERM')
  })

  afterAll(async () => {
    await redis.stop()
    rmSync(folder, { recursive: true })
  })

  function work(store: string, onJob?: (job: TakenJob) => void, killedIn?: number): ChildProcess {
    const child = startWorker(queue, store, onJob, killedIn)
    children.push(child)
    return child
  }

  const whole = async (options: RunSettings): Promise<Uint8Array> =>
    (await quantizeModel(MODEL, { levels: 15, ...options, calibration: CALIBRATION, runner, threads: 1 }))
      .model

  async function spread(path: string, options: RunSettings, shards: number): Promise<Uint8Array> {
    const { store, close } = await openStore(path)
    const cluster = await openCluster({ queue, store, shards })
    try {
      return await whole({ ...options, cluster })
    } finally {
      await cluster.close()
      await close()
    }
  }

  const INTEGERS = {
    activations: { bits: 8, ranges: { rule: 'mse' }, for: [{ pattern: '*', kernel: 'int8' }] },
    biasCorrection: true,
  } as const

  it.each([
    [1, 1, {}],
    [2, 2, {}],
    [3, 3, { holdout: 0 }],
    [2, 3, INTEGERS],
  ] as const)(
    'gives the bytes of one machine: %i workers, %i parts, %o',
    async (workers, shards, options) => {
      const store = join(folder, `store-${workers}-${shards}`)
      for (let i = 0; i < workers; i++) work(store)
      expect(Buffer.compare(await spread(store, options, shards), await whole(options))).toBe(0)
    },
    60_000,
  )

  it('keeps blobs in Redis, too', async () => {
    work(queue)
    expect(Buffer.compare(await spread(queue, {}, 1), await whole({}))).toBe(0)
  }, 60_000)

  it('goes on when a worker is killed in the middle of a job', async () => {
    const store = join(folder, 'killed')
    const child = work(store, undefined, 3)
    work(store)
    expect(Buffer.compare(await spread(store, {}, 2), await whole({}))).toBe(0)
    expect(child.signalCode).toBe('SIGKILL')
  }, 60_000)

  it('makes damaged and missing results again', async () => {
    const store = join(folder, 'damaged')
    work(store)
    const expected = await spread(store, {}, 2)
    const blobs = join(store, 'blobs')
    for (const [i, name] of readdirSync(blobs).entries()) {
      const bytes = readFileSync(join(blobs, name))
      bytes[bytes.length - 70]! ^= 1
      if (i % 2 === 0) writeFileSync(join(blobs, name), bytes)
      else rmSync(join(blobs, name))
    }
    expect(Buffer.compare(await spread(store, {}, 2), expected)).toBe(0)
  }, 60_000)

  /** Runs until the first layer is done. */
  async function stopped(store: string, options: RunSettings): Promise<void> {
    const controller = new AbortController()
    const onProgress: RunSettings['onProgress'] = (event) => {
      if (event.type === 'layer-done') controller.abort(new Error('stopped'))
    }
    const run = spread(store, { ...options, signal: controller.signal, onProgress }, 1)
    await expect(run).rejects.toThrow('stopped')
  }

  it('is resumed: what is in the store is not made again', async () => {
    const jobs = { resumed: 0, whole: 0 }
    const child = work(join(folder, 'resumed'), () => jobs.resumed++)
    await stopped(join(folder, 'resumed'), {})
    const before = jobs.resumed
    const model = await spread(join(folder, 'resumed'), {}, 1)
    await ended(child, 'SIGTERM')
    work(join(folder, 'whole'), () => jobs.whole++)
    expect(Buffer.compare(model, await spread(join(folder, 'whole'), {}, 1))).toBe(0)
    expect([before > 0, jobs.resumed]).toEqual([true, jobs.whole])
  }, 60_000)

  it('goes on behind a checkpoint, with an empty store', async () => {
    const checkpoint = folderStore(join(folder, 'checkpoint'))
    const child = work(join(folder, 'first'))
    await stopped(join(folder, 'first'), { checkpoint })
    await ended(child, 'SIGTERM')
    work(join(folder, 'second'))
    const events: string[] = []
    const onProgress: RunSettings['onProgress'] = ({ type }) => events.push(type)
    const model = await spread(join(folder, 'second'), { checkpoint, onProgress }, 1)
    expect(Buffer.compare(model, await whole({}))).toBe(0)
    expect(events).toContain('resume')
  }, 60_000)

  it('stores again what is lost in the middle of a run', async () => {
    const store = join(folder, 'lost')
    let lost = 0
    work(store, ({ count }) => {
      if (count % 2 === 1) return
      // Not the folder: a worker may be writing into it.
      for (const name of readdirSync(join(store, 'blobs'))) {
        rmSync(join(store, 'blobs', name), { force: true })
        lost++
      }
    })
    expect(Buffer.compare(await spread(store, {}, 1), await whole({}))).toBe(0)
    expect(lost).toBeGreaterThan(0)
  }, 60_000)

  it('lets workers solve wide layers, each a part of the neurons, and removes H and G behind the stage', async () => {
    const model = wideModel()
    const calibration: Feeds[] = [{ x: { type: 'float32', dims: [64, 1152], data: b.noise(64 * 1152, 9) } }]
    const store = join(folder, 'wide')
    const kinds: string[] = []
    for (let i = 0; i < 2; i++) work(store, ({ kind }) => kinds.push(kind))
    const run = { levels: 15, calibration, runner, threads: 1 }
    const cluster = await openCluster({ queue, store: folderStore(store), shards: 1 })
    const spreadOut = await quantizeModel(model, { ...run, cluster })
    await cluster.close()
    expect(Buffer.compare(spreadOut.model, (await quantizeModel(model, run)).model)).toBe(0)
    expect(kinds.filter((kind) => kind === 'solve').length).toBeGreaterThanOrEqual(2)
    const sizes = readdirSync(join(store, 'blobs')).map((name) => statSync(join(store, 'blobs', name)).size)
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(4 * 1152 ** 2) // half of H and G
  }, 60_000)

  it('refuses a worker with another runtime, in words', async () => {
    const store = join(folder, 'other')
    work(store)
    const other = { ...runner, name: 'onnxruntime-web 0.1 (1 thread)' }
    const { store: own } = await openStore(store)
    const cluster = await openCluster({ queue, store: own, shards: 1 })
    const run = quantizeModel(MODEL, {
      levels: 15,
      calibration: CALIBRATION,
      runner: other,
      threads: 1,
      cluster,
    })
    await expect(run).rejects.toMatchObject({
      code: 'WORKER_FAILED',
      message: expect.stringContaining('the run is of onnxruntime-web 0.1, the worker of onnxruntime-web'),
    })
    await cluster.close()
  }, 60_000)
})
