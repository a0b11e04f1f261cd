/**
 * From whatever a caller has of the module to a compiled one. Responses are compiled while they stream, unless their
 * server names the wrong type, which is no reason to fail.
 */
import { GpfqError } from '../errors.js'

/** Bytes of gpfq.wasm, or the module compiled from them. */
export type WasmSource = WebAssembly.Module | ArrayBuffer | Uint8Array<ArrayBuffer> | Response

/**
 * @param place for messages: where the source is from
 * @param mend and what to do if there is none
 */
export async function compileFrom(
  source: WasmSource | Promise<WasmSource>,
  place: string,
  mend = 'name its place, or give the module itself, with init({ wasm })',
): Promise<WebAssembly.Module> {
  try {
    const found = await source
    if (found instanceof WebAssembly.Module) return found
    if (found instanceof ArrayBuffer || ArrayBuffer.isView(found)) return await WebAssembly.compile(found)
    if (typeof Response === 'undefined' || !(found instanceof Response)) {
      throw new TypeError(
        `init: wasm: expected a WebAssembly.Module, its bytes, a Response or a URL, got ${typeof found}`,
      )
    }
    if (!found.ok) throw new Error(`HTTP ${found.status}`)
    const streams = found.headers.get('content-type')?.startsWith('application/wasm') === true
    return await (streams && typeof WebAssembly.compileStreaming === 'function'
      ? WebAssembly.compileStreaming(found)
      : WebAssembly.compile(await found.arrayBuffer()))
  } catch (cause) {
    if (cause instanceof TypeError && cause.message.startsWith('init:')) throw cause
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new GpfqError(
      'RUNTIME_MISSING',
      `kernels: expected the module from ${place} and a runtime that compiles it (SIMD, shared memory), got ${reason}; ${mend}`,
      { cause },
    )
  }
}

/** How to mend a missing gpfq.relaxed.wasm. */
export const WITHOUT_FAST = 'put it there, or leave fastMath out'
