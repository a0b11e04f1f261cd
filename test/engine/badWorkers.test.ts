/** Workers that do not do their part: none at all, silent ones, and ones that say "done" too early. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Worker } from 'node:worker_threads'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { createPool } from '#src/engine/pool.js'
import { createHosted } from '#src/executor/hosted.js'
import { init, loadModule } from '#src/platform/init.js'
import { createQuantizer } from '#src/quantizer.js'
import { longJob } from './longJob.js'

const module = await loadModule()
const workers: Worker[] = []

/** A worker of the given script, with `port` to the pool. */
function start(script: string): Worker {
  const worker = new Worker(`const { parentPort: port } = require('node:worker_threads'); ${script}`, {
    eval: true,
  })
  workers.push(worker)
  return worker
}

afterEach(async () => {
  vi.useRealTimers()
  await Promise.all(workers.splice(0).map((worker) => worker.terminate()))
})

/** Settles as `start` does, as if so many seconds went by. */
async function afterTime<T>(seconds: number, begin: () => Promise<T>): Promise<T> {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  const started = begin()
  started.catch(() => {}) // awaited below
  await vi.advanceTimersByTimeAsync(1000 * seconds)
  return started
}

describe('a worker that never answers', () => {
  const silent = () => start("port.on('message', () => {})")
  const failure = { code: 'WORKER_FAILED', message: expect.stringContaining('no answer within 60 seconds') }

  it('is an error of the pool, and no thread is left', async () => {
    await init({ createWorker: silent })
    await expect(afterTime(60, () => createPool(2, module))).rejects.toMatchObject(failure)
    expect(workers.map(({ threadId }) => threadId)).toEqual([-1, -1])
  })

  it('is an error where all verbs run in one worker', async () => {
    await init({ createWorker: silent })
    await expect(afterTime(60, () => createHosted(module, false))).rejects.toMatchObject(failure)
    expect(workers[0]?.threadId).toBe(-1)
  })

  it('is an error where it does not even begin to exist', async () => {
    await init({ createWorker: () => new Promise<Worker>(() => {}) })
    await expect(afterTime(60, () => createPool(2, module))).rejects.toMatchObject(failure)
    await expect(afterTime(60, () => createHosted(module, false))).rejects.toMatchObject(failure)
  })

  it('ends a job when its pool is closed', async () => {
    await init({
      createWorker: () =>
        start(
          "port.on('message', ({ id, path }) => { if (path[0] === 'init') port.postMessage({ id, type: 'RAW' }) })",
        ),
    })
    const pool = await createPool(1, module)
    const run = pool.run(longJob(pool, 1))
    await Promise.all([expect(run).rejects.toMatchObject({ code: 'CLOSED' }), pool.close()])
  })
})

it('a worker that ends a job without its tiles is WORKER_FAILED', async () => {
  await init({
    createWorker: () => start("port.on('message', ({ id }) => port.postMessage({ id, type: 'RAW' }))"),
  })
  const pool = await createPool(2, module)
  await expect(pool.run(longJob(pool, 1))).rejects.toMatchObject({
    code: 'WORKER_FAILED',
    message: expect.stringContaining('it ended a job before all tiles were done'),
  })
  await expect(pool.run([])).rejects.toMatchObject({ code: 'WORKER_FAILED' })
})

it.each([
  ['nothing', () => undefined, 'none'],
  ['nothing, later', async () => undefined, 'none'],
  ['null', () => null, 'null'],
  ['an object', () => ({}), 'an object'],
  ['a text', () => 'worker.js', 'a string'],
])('createWorker that gives %s is a TypeError', async (_, createWorker, got) => {
  await init({ createWorker: createWorker as unknown as () => Worker })
  const error = await createQuantizer({ threads: 2 }).catch((cause: unknown) => cause)
  expect(error).toBeInstanceOf(TypeError)
  expect(error).toMatchObject({ place: 'createWorker', expected: 'a worker', got })
})

it('an idle quantizer keeps no process alive, before a job and after one', async () => {
  const script = `
    import { createQuantizer } from ${JSON.stringify(new URL('../../dist/src/index.js', import.meta.url).href)}
    const idle = await createQuantizer({ threads: 2 })
    const used = await createQuantizer({ threads: 2 })
    const [weights, samples] = [new Float32Array(64 * 8).fill(1), new Float32Array(500 * 64).fill(1)]
    await used.quantizeLayer({ weights, samples, inputs: 64, neurons: 8 })
    console.log('done on', idle.threads + used.threads)`
  const run = promisify(execFile)(process.execPath, ['--input-type=module', '--eval', script], {
    cwd: fileURLToPath(new URL('.', import.meta.url)),
    timeout: 100_000, // where it hangs, this ends it, which is an error
  })
  expect((await run).stdout).toBe('done on 4\n')
}, 120_000)

it('a process waits for a quantizer that is being closed', async () => {
  const script = `
    import { createQuantizer } from ${JSON.stringify(new URL('../../dist/src/index.js', import.meta.url).href)}
    await (await createQuantizer({ threads: 2 })).close()
    console.log('closed')`
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', script])
  expect(stdout).toBe('closed\n')
})
