/**
 * Activations as plain data: a runner that writes down what another one answers, and one that answers from the notes.
 * For runtimes where ONNX Runtime cannot run. Models and feeds are known by the SHA-256 of their bytes, so a replay also
 * proves that the segments and tensors that it is asked for are the same to the byte.
 */
import type { Feeds, Runner, RunnerInput, Tensor, TensorType } from 'gpfq/onnx'
import { sha256 } from './suite.js'

interface Note {
  readonly type: TensorType
  readonly dims: readonly number[]
  /** Float32 values lie at [at, at + bytes) of the recording. */
  readonly at: number
  readonly bytes: number
}

export interface Recording {
  readonly models: Record<string, { inputs: readonly RunnerInput[]; outputs: readonly string[] }>
  /** By model and feeds. */
  readonly runs: Record<string, Record<string, Note>>
}

export function recordingRunner(runner: Runner): {
  runner: Runner
  finish(): { notes: Recording; data: Uint8Array }
} {
  const notes: Recording = { models: {}, runs: {} }
  const parts: Uint8Array[] = []
  let length = 0
  return {
    runner: {
      name: runner.name,
      async load(model) {
        const key = await sha256(model)
        const session = await runner.load(model)
        notes.models[key] = { inputs: session.inputs, outputs: session.outputs }
        return {
          inputs: session.inputs,
          outputs: session.outputs,
          async run(feeds, fetches) {
            const results = await session.run(feeds, fetches)
            const own = await runKey(key, feeds, fetches)
            if (own in notes.runs) return results // a model is run again and again to measure its speed
            const run: Record<string, Note> = {}
            for (const [name, { type, dims, data }] of Object.entries(results)) {
              if (type !== 'float32') throw new TypeError(`recording, ${name}: expected float32, got ${type}`)
              const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice()
              run[name] = { type, dims, at: length, bytes: bytes.length }
              parts.push(bytes)
              length += bytes.length
            }
            notes.runs[own] = run
            return results
          },
          close: () => session.close(),
        }
      },
    },
    finish() {
      const data = new Uint8Array(length)
      let at = 0
      for (const part of parts) {
        data.set(part, at)
        at += part.length
      }
      return { notes, data }
    },
  }
}

export function replayingRunner({ models, runs }: Recording, data: ArrayBuffer): Runner {
  return {
    name: 'recorded activations',
    async load(model) {
      const key = await sha256(model)
      const known = models[key]
      if (known === undefined) {
        throw new Error('recorded activations: expected a model of the recording, got one with other bytes')
      }
      return {
        ...known,
        async run(feeds, fetches) {
          const run = runs[await runKey(key, feeds, fetches)]
          if (run === undefined)
            throw new Error('recorded activations: expected feeds of the recording, got others')
          const outputs: Record<string, Tensor> = {}
          for (const [name, { type, dims, at, bytes }] of Object.entries(run)) {
            outputs[name] = { type, dims, data: new Float32Array(data.slice(at, at + bytes)) }
          }
          return outputs
        },
        close: async () => {},
      }
    },
  }
}

async function runKey(model: string, feeds: Feeds, fetches: readonly string[] | undefined): Promise<string> {
  const tensors = await Promise.all(
    Object.entries(feeds).map(
      async ([name, { dims, data }]) => `${name} ${dims.join('×')} ${await sha256(data)}`,
    ),
  )
  return [model, ...tensors.sort(), ...(fetches ?? [])].join(' ')
}
