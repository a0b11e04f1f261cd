/** The page that runs one model on WebGPU and in wasm. forms.spec.ts calls `runBoth`. */
import * as wasm from 'onnxruntime-web/wasm'
import * as webgpu from 'onnxruntime-web/webgpu'

/** Values by number, as JSON takes them. */
export interface FormTask {
  /** The address of the model. */
  readonly model: string
  readonly type: 'float32' | 'float16'
  readonly dims: readonly number[]
  /** Of float16 the bits. */
  readonly values: readonly number[]
}

export interface FormResult {
  /** Why the model does not run on WebGPU; null if it does. */
  readonly failure: string | null
  /** ‖y − y of wasm‖ / ‖y of wasm‖; null without a result. */
  readonly difference: number | null
}

export interface FormsWindow {
  /** What the adapter is, and whether its shaders have float16; null where there is none. */
  adapter(): Promise<{ readonly name: string; readonly hasFloat16: boolean } | null>
  runBoth(task: FormTask): Promise<FormResult>
}

type Ort = typeof wasm

async function outputOf(ort: Ort, provider: 'wasm' | 'webgpu', bytes: Uint8Array, task: FormTask) {
  const session = await ort.InferenceSession.create(bytes, {
    executionProviders: [provider],
    ...(provider === 'webgpu' ? { logSeverityLevel: 0 } : {}), // says which provider has which node
  })
  try {
    const { type, dims, values } = task
    const data = type === 'float16' ? Uint16Array.from(values) : Float32Array.from(values)
    const results = await session.run({ [session.inputNames[0]!]: new ort.Tensor(type, data, dims) })
    const { type: made, data: found } = results[session.outputNames[0]!]!
    if (!ArrayBuffer.isView(found)) throw new TypeError(`expected numbers, got ${made}`)
    return made === 'float16' ? halves(found) : Float64Array.from(found as Float32Array)
  } finally {
    await session.release()
  }
}

/** The runtime returns a Float16Array where the platform has one, else bits. */
function halves(data: ArrayBufferView): Float64Array {
  const bits = new Uint16Array(data.buffer, data.byteOffset, data.byteLength / 2)
  return Float64Array.from(bits, (b) => {
    const [exponent, fraction] = [(b >> 10) & 31, b & 1023]
    const size = exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25)
    return b >> 15 === 1 ? -size : size
  })
}

const page: FormsWindow = {
  async adapter() {
    const adapter = await navigator.gpu?.requestAdapter()
    if (adapter === undefined || adapter === null) return null
    const { vendor, architecture } = adapter.info
    return { name: `${vendor} ${architecture}`.trim(), hasFloat16: adapter.features.has('shader-f16') }
  },
  async runBoth(task) {
    wasm.env.wasm.numThreads = webgpu.env.wasm.numThreads = 1
    const bytes = new Uint8Array(await (await fetch(task.model)).arrayBuffer())
    const expected = await outputOf(wasm, 'wasm', bytes, task)
    try {
      const found = await outputOf(webgpu, 'webgpu', bytes, task)
      const squares = expected.reduce((sum, y, i) => sum + (found[i]! - y) ** 2, 0)
      return { failure: null, difference: Math.sqrt(squares / expected.reduce((sum, y) => sum + y * y, 0)) }
    } catch (error) {
      return { failure: error instanceof Error ? error.message : String(error), difference: null }
    }
  },
}
Object.assign(globalThis, page)
