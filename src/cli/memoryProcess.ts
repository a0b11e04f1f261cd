/** The process of measureMemory. It is started for one model and ends with it. */
import { setTimeout } from 'node:timers/promises'
import { createOrtHere, createRunnerHere } from '../calibration/onnxRuntime.js'
import { makeNode } from '../onnx/edit.js'
import { encodeProbe } from '../onnx/probe.js'
import type { MemoryAnswer, MemoryTask } from './memory.js'
import { openModel } from './model.js'

process.once('disconnect', () => process.exit(1)) // the command has ended

process.once('message', async (task: MemoryTask) => {
  try {
    const answer: MemoryAnswer = { growth: await growthOf(task) }
    process.send?.(answer, () => process.exit())
  } catch {
    process.exit(1) // no answer says that it could not be measured
  }
})

async function growthOf({ path, feeds, runner: build, threads }: MemoryTask): Promise<number> {
  const bytes = await (await openModel(path)).runnable()
  // In this thread: what another one holds for a moment would count too.
  const runner = await (build === undefined ? createRunnerHere({ threads }) : createOrtHere(build, threads))
  // The first session starts ONNX Runtime itself, which is not the model's.
  const first = await runner.load(encodeNothing())
  await first.run({ x: { type: 'float32', dims: [1], data: new Float32Array(1) } })
  await first.close()
  const before = await resident()
  const session = await runner.load(bytes)
  await session.run(feeds)
  const after = await resident()
  await session.close() // held until here, as `bytes` is by the next line
  return bytes.length === 0 ? 0 : Math.max(0, after - before)
}

/** The resident memory, without what is free but not yet given back: V8 does that in threads of its own, some time later. */
async function resident(): Promise<number> {
  for (let i = 0; i < 3; i++) {
    globalThis.gc?.()
    await setTimeout(50)
  }
  return process.memoryUsage().rss
}

/** A model that gives its input back. */
function encodeNothing(): Uint8Array {
  const [x, y] = ['x', 'y'].map((name) => ({ name, type: 'float32', dims: [1] }) as const)
  return encodeProbe({
    opset: 13,
    inputs: [x!],
    constants: [],
    nodes: [makeNode('Identity', ['x'], 'y')],
    outputs: [y!],
  })
}
