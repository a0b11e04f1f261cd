/**
 * Compiles the module from whatever a caller has: compiled already, bytes, or a Response. A Response is compiled while
 * it streams, unless its server names the wrong content type; then its bytes are read first.
 */
import { typeError } from '../checks.js'
import { GpfqError, isDescribed, reasonOf } from '../errors.js'

/** Bytes of gpfq.wasm, or the module compiled from them. */
export type WasmSource = WebAssembly.Module | ArrayBuffer | Uint8Array<ArrayBuffer> | Response

/**
 * @param place where the source is from, for the error
 * @param hint how to mend a missing module, for the error
 * @throws TypeError if the source is of another kind; GpfqError RUNTIME_MISSING if it cannot be loaded or compiled
 */
export async function compileFrom(
  source: WasmSource | Promise<WasmSource>,
  place: string,
  hint = 'give its URL, or the module itself, to init({ wasm })',
): Promise<WebAssembly.Module> {
  try {
    const found = await source
    if (found instanceof WebAssembly.Module) return found
    if (found instanceof ArrayBuffer || ArrayBuffer.isView(found)) return await WebAssembly.compile(found)
    if (!(found instanceof Response)) {
      const expected = 'a WebAssembly.Module, its bytes, a Response or a URL'
      throw typeError({ place: 'init: wasm', expected, got: typeof found })
    }
    if (!found.ok) throw new Error(`HTTP ${found.status}`)
    const streams = found.headers.get('content-type')?.startsWith('application/wasm') === true
    return await (streams && typeof WebAssembly.compileStreaming === 'function'
      ? WebAssembly.compileStreaming(found)
      : WebAssembly.compile(await found.arrayBuffer()))
  } catch (cause) {
    if (isDescribed(cause)) throw cause
    const problem = `cannot load and compile ${place} (WebAssembly SIMD and shared memory are needed): ${reasonOf(cause)}`
    throw new GpfqError('RUNTIME_MISSING', { place: 'kernels', problem, hint }, { cause })
  }
}

/** How to mend a missing gpfq.relaxed.wasm. */
export const WITHOUT_FAST = 'put the file there, or leave fastMath out'
