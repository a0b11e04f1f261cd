/** The page of runner.spec.ts: the runner on the GPU beside the one in wasm. */
import * as webgpu from 'onnxruntime-web/webgpu'
import { GpuTensors } from '#src/calibration/gpuTensors.js'
import { createRunner } from '#src/calibration/onnxRuntime.js'
import { loadSession } from '#src/calibration/ortSession.js'
import type { Runner } from '#src/calibration/runner.js'
import { isDescribed } from '#src/errors.js'
import { quantizeModel } from '#src/model/quantizeModel.js'
import type { Feeds, Tensor } from '#src/tensor/tensor.js'

export interface Ran {
  readonly name: string
  readonly fellBack: string | null
  /** ‖y − y of wasm‖ / ‖y of wasm‖ */
  readonly difference: number
  /** Whether y has the same bits as in wasm. */
  readonly equal: boolean
}

export interface RunnerWindow {
  hasAdapter(): Promise<boolean>
  /** Runs a model of one float32 input on both. @param lose whether the device is lost between two runs */
  run(model: string, dims: readonly number[], type: 'float32' | 'float16', lose: boolean): Promise<Ran>
  /** Runs a model of equal inputs and outputs twice, on its own output. @returns how often a copy was read on the GPU */
  chain(
    model: string,
    dims: readonly number[],
    budget: number,
  ): Promise<{ reused: number; difference: number }>
  /** Quantizes a model on both. @returns for each what the report says */
  quantize(model: string, input: string, dims: readonly number[]): Promise<readonly Quantized[]>
  /** What createRunner says: the name of a runner, or the error. */
  create(device: 'webgpu' | 'auto'): Promise<string>
}

export interface Quantized {
  readonly runner: string
  readonly notes: readonly string[]
  readonly errors: readonly number[]
  /** Layers that were observed where the models ran. */
  readonly observed: number
}

const fetched = async (url: string): Promise<Uint8Array> =>
  new Uint8Array(await (await fetch(url)).arrayBuffer())

/** Sines of the index: seeded inputs that need no generator. @param type float16 has bits of values in 1..2 */
function waves(dims: readonly number[], type: 'float32' | 'float16' = 'float32'): Tensor {
  const count = dims.reduce((a, b) => a * b, 1)
  return type === 'float16'
    ? { type, dims, data: Uint16Array.from({ length: count }, (_, i) => 0x3c00 + ((i * 37) % 1024)) }
    : { type, dims, data: Float32Array.from({ length: count }, (_, i) => Math.sin(i * 0.7)) }
}

async function outputOf(runner: Runner, model: Uint8Array, tensor: Tensor, between = async () => {}) {
  const session = await runner.load(model)
  const feeds: Feeds = { [session.inputs[0]!.name]: tensor }
  await session.run(feeds)
  await between()
  const results = await session.run(feeds)
  await session.close()
  return results[session.outputs[0]!]!
}

function compare(found: Tensor, expected: Tensor): { difference: number; equal: boolean } {
  const [a, b] = [found, expected].map(({ data }) => Array.from(data, Number))
  const squares = b!.reduce((sum, y, i) => sum + (a![i]! - y) ** 2, 0)
  const norm = b!.reduce((sum, y) => sum + y * y, 0)
  return { difference: Math.sqrt(squares / norm), equal: a!.length === b!.length && squares === 0 }
}

const page: RunnerWindow = {
  hasAdapter: async () => ((await navigator.gpu?.requestAdapter()) ?? null) !== null,

  async run(url, dims, type, lose) {
    const [model, tensor] = [await fetched(url), waves(dims, type)]
    const runner = await createRunner({ device: 'webgpu' })
    const found = await outputOf(runner, model, tensor, async () => {
      if (lose) (await webgpu.env.webgpu.device).destroy()
    })
    const expected = await outputOf(await createRunner(), model, tensor)
    return { name: runner.name, fellBack: runner.fellBack ?? null, ...compare(found, expected) }
  },

  async chain(url, dims, budget) {
    const [model, x] = [await fetched(url), waves(dims)]
    webgpu.env.wasm.numThreads = 1
    const tensors = new GpuTensors(webgpu, budget)
    const options = { executionProviders: ['webgpu'], preferredOutputLocation: 'gpu-buffer' } as const
    const session = await loadSession(webgpu, model, options, tensors)
    const { y } = await session.run({ x })
    const { y: found } = await session.run({ x: y! })
    const wasm = await (await createRunner()).load(model)
    const { y: expected } = await wasm.run({ x: (await wasm.run({ x })).y! })
    tensors.clear()
    return { reused: tensors.reused, difference: compare(found!, expected!).difference }
  },

  async quantize(url, input, dims) {
    const model = await fetched(url)
    const results: Quantized[] = []
    for (const device of ['wasm', 'webgpu'] as const) {
      const runner = await createRunner({ device })
      let observed = 0
      const { observe } = runner
      if (observe !== undefined)
        Object.assign(runner, {
          observe: async (...given: Parameters<typeof observe>) => {
            const found = await observe(...given)
            if (found !== null) observed++
            return found
          },
        })
      const options = { runner, calibration: [{ [input]: waves(dims) }], threads: 1, holdout: 0 }
      const { report } = await quantizeModel(model, options)
      results.push({
        observed,
        runner: report.runner,
        notes: report.notes.map(({ code, text }) => `${code} ${text}`),
        errors: report.layers.map(({ relativeError }) => relativeError ?? 0),
      })
    }
    return results
  },

  async create(device) {
    try {
      return (await createRunner({ device })).name
    } catch (error) {
      return isDescribed(error) ? `${error.code} ${error.message}` : String(error)
    }
  },
}
Object.assign(globalThis, page)
