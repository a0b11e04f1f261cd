/**
 * A runner whose calls an abort ends at once. Engines cannot end a run that has begun: its promise is left behind, and the
 * session is closed when it settles.
 */
import { untilAborted } from '../aborts.js'
import type { Runner, RunnerSession } from './runner.js'

/** The same runner; what is waited for rejects with the signal's reason once it aborts. */
export function abortable(runner: Runner, signal: AbortSignal | undefined): Runner {
  if (signal === undefined) return runner
  return {
    get name() {
      return runner.name
    },
    async load(model, options) {
      signal.throwIfAborted()
      const session = await untilAborted(signal, runner.load(model, options), (late) => late.close())
      return abortableSession(session, signal)
    },
  }
}

function abortableSession(session: RunnerSession, signal: AbortSignal): RunnerSession {
  let last: Promise<unknown> = Promise.resolve()
  return {
    inputs: session.inputs,
    outputs: session.outputs,
    get seconds() {
      return session.seconds
    },
    async run(feeds, fetches) {
      signal.throwIfAborted()
      const run = fetches === undefined ? session.run(feeds) : session.run(feeds, fetches)
      last = run.catch(() => {})
      return untilAborted(signal, run)
    },
    async close() {
      const closed = last.then(() => session.close())
      await untilAborted(signal, closed).catch((error: unknown) => {
        if (!signal.aborted) throw error
      })
    },
  }
}
