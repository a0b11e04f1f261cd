/** The thread that ONNX Runtime runs in, in Node, Bun and Deno (src/calibration/runtimeThread.ts is the caller's side). */
import { parentPort } from 'node:worker_threads'
import { createOrtHere } from '../src/calibration/onnxRuntime.js'
import type { Runner, RunnerSession } from '../src/calibration/runner.js'
import type { Build, RuntimeApi } from '../src/calibration/runtimeThread.js'
import { connect, transfer } from '../src/engine/calls.js'
import { nodePort } from '../src/platform/nodeWorker.js'

const runners = new Map<string, Runner>()
const sessions = new Map<number, RunnerSession>()
let loaded = 0

async function runnerOf(build: Build, threads: number): Promise<Runner> {
  const key = `${build} ${threads}`
  const runner = runners.get(key) ?? (await createOrtHere(build, threads))
  runners.set(key, runner)
  return runner
}

function sessionAt(number: number): RunnerSession {
  const session = sessions.get(number)
  if (session === undefined) throw new RangeError(`session ${number} is closed`)
  return session
}

const api: RuntimeApi = {
  open: async (build, threads) => (await runnerOf(build, threads)).name,
  async load(build, threads, model, options) {
    const runner = await runnerOf(build, threads)
    const session = await runner.load(model, options)
    sessions.set(loaded, session)
    const { inputs, outputs } = session
    return { session: loaded++, inputs, outputs, name: runner.name }
  },
  async run(number, feeds, fetches) {
    const session = sessionAt(number)
    const begun = performance.now()
    const tensors = await session.run(feeds, fetches)
    const seconds = (performance.now() - begun) / 1000
    return transfer(
      { tensors, seconds },
      Object.values(tensors).map(({ data }) => data.buffer),
    )
  },
  async close(number) {
    const session = sessionAt(number)
    sessions.delete(number)
    await session.close()
  },
}

if (parentPort !== null) connect(nodePort(parentPort), () => api)
