/**
 * The promise of a cluster: whatever the number of workers, and whatever happens to them and to what is stored, the written model
 * has the bytes of one machine. A Redis of the test's own, and workers in processes of their own.
 */
import { type ChildProcess, execFileSync, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { createOrtWebRunner } from '#src/calibration/onnxRuntime.js'
import type { Runner } from '#src/calibration/runner.js'
import { cutShards, openCluster } from '#src/cluster/cluster.js'
import { openStore } from '#src/cluster/store.js'
import { quantizeModel } from '#src/model/quantizeModel.js'
import { encodeModel } from '#src/onnx/model.js'
import type { QuantizeModelOptions } from '#src/options.js'
import type { Feeds } from '#src/tensor/tensor.js'
import * as b from '../onnx/build.js'

const WORKER = fileURLToPath(new URL('../../dist-scripts/clusterWorker.mjs', import.meta.url))

const hasRedis = ((): boolean => {
  try {
    execFileSync('redis-server', ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
})()

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

type RunSettings = Pick<
  QuantizeModelOptions,
  'holdout' | 'activations' | 'biasCorrection' | 'cluster' | 'signal' | 'onProgress'
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
  let queue: string
  let redis: ChildProcess
  let runner: Runner

  beforeAll(async () => {
    await build({
      entryPoints: [fileURLToPath(new URL('workerProcess.ts', import.meta.url))],
      ...{ outfile: WORKER, bundle: true, platform: 'node', format: 'esm' },
      ...{ packages: 'external', external: ['#*'], logLevel: 'warning' },
    })
    const port = await freePort()
    folder = mkdtempSync(join(tmpdir(), 'gpfq-cluster-'))
    queue = `redis://127.0.0.1:${port}`
    const settings = ['--bind', '127.0.0.1', '--save', '', '--dir', folder]
    redis = spawn('redis-server', ['--port', String(port), ...settings], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    for await (const text of redis.stdout!) if (String(text).includes('Ready to accept')) break
    redis.stdout?.resume()
    runner = await createOrtWebRunner({ threads: 1 })
  }, 30_000)

  afterEach(async () => {
    for (const child of children.splice(0)) await ended(child, 'SIGTERM')
  })

  afterAll(async () => {
    await ended(redis, 'SIGTERM')
    rmSync(folder, { recursive: true })
  })

  const ended = async (child: ChildProcess, signal: NodeJS.Signals): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill(signal)
    await once(child, 'exit')
  }

  function startWorker(store: string, onJob: () => void = () => {}, killedIn?: number): ChildProcess {
    const child = fork(WORKER, [queue, store, String(killedIn ?? '')], { execArgv: [] })
    child.on('message', onJob)
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
      for (let i = 0; i < workers; i++) startWorker(store)
      expect(Buffer.compare(await spread(store, options, shards), await whole(options))).toBe(0)
    },
    60_000,
  )

  it('keeps blobs in Redis, too', async () => {
    startWorker(queue)
    expect(Buffer.compare(await spread(queue, {}, 1), await whole({}))).toBe(0)
  }, 60_000)

  it('goes on when a worker is killed in the middle of a job', async () => {
    const store = join(folder, 'killed')
    const child = startWorker(store, undefined, 3)
    startWorker(store)
    expect(Buffer.compare(await spread(store, {}, 2), await whole({}))).toBe(0)
    expect(child.signalCode).toBe('SIGKILL')
  }, 60_000)

  it('makes damaged and missing results again', async () => {
    const store = join(folder, 'damaged')
    startWorker(store)
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

  it('is resumed: what is in the store is not made again', async () => {
    const store = join(folder, 'resumed')
    let jobs = 0
    startWorker(store, () => jobs++)
    const controller = new AbortController()
    const onProgress: RunSettings['onProgress'] = (event) => {
      if (event.type === 'layer-done') controller.abort(new Error('stopped'))
    }
    await expect(spread(store, { signal: controller.signal, onProgress }, 1)).rejects.toThrow('stopped')
    const before = jobs
    expect(Buffer.compare(await spread(store, {}, 1), await whole({}))).toBe(0)
    const all = readdirSync(join(store, 'results')).length
    expect([before > 0, jobs]).toEqual([true, all])
  }, 60_000)

  it('refuses a worker with another runtime, in words', async () => {
    const store = join(folder, 'other')
    startWorker(store)
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

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}
