/** A runner that counts how often each node of the original model ran, by decoding the segments it is given. */
import { createOrtWebRunner } from '#src/calibration/onnxRuntime.js'
import type { Runner } from '#src/calibration/runner.js'
import { decodeModel, graphOf } from '#src/onnx/model.js'

export interface CountingRunner extends Runner {
  /** Node name → runs, over all sessions. */
  readonly runs: ReadonlyMap<string, number>
  readonly sessions: { open: number }
}

export async function createCountingRunner(): Promise<CountingRunner> {
  const inner = await createOrtWebRunner({ threads: 1 })
  const runs = new Map<string, number>()
  const sessions = { open: 0 }
  return {
    name: inner.name,
    runs,
    sessions,
    async load(model) {
      const session = await inner.load(model)
      const names = graphOf(decodeModel(model)).node.map(({ name }) => name)
      sessions.open++
      return {
        inputs: session.inputs,
        outputs: session.outputs,
        run(feeds, fetches) {
          for (const name of names) runs.set(name, (runs.get(name) ?? 0) + 1)
          return session.run(feeds, fetches)
        },
        close() {
          sessions.open--
          return session.close()
        },
      }
    },
  }
}
