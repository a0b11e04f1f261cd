/**
 * The module built with relaxed SIMD (assembly/tile.ts): multiply and add as one instruction where the machine has one, up
 * to twice as fast there. Which machine fuses is its own affair, so codes may differ from machine to machine where two
 * values are nearly as near: nobody gets it who did not ask, and nobody gets it whose runtime does not compute it right.
 */
import { platform } from '#platform'
import { instantiate } from '../../workers/kernels.js'
import { GpfqError } from '../errors.js'

/** () → v128 of relaxed_madd(0, 0, 0): valid only where relaxed SIMD is known. */
const PROBE = Uint8Array.of(
  ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0], // magic, version
  ...[1, 5, 1, 0x60, 0, 1, 0x7b], // types: () → v128
  ...[3, 2, 1, 0], // functions: one of type 0
  ...[10, 19, 1, 17, 0], // code: one body of 17 bytes, no locals
  ...[0x41, 0, 0xfd, 0x11, 0x41, 0, 0xfd, 0x11, 0x41, 0, 0xfd, 0x11], // three times i32.const 0, i32x4.splat
  ...[0xfd, 0x85, 0x02, 0x0b], // f32x4.relaxed_madd, end
)

let module: Promise<WebAssembly.Module | null> | undefined

/**
 * The fast module, compiled once for all quantizers; null where the runtime lacks relaxed SIMD or gets it wrong.
 * @throws GpfqError RUNTIME_MISSING if the file cannot be had
 */
export function loadFastModule(): Promise<WebAssembly.Module | null> {
  if (module === undefined) {
    const loading = attempt()
    module = loading
    loading.catch(() => {
      if (module === loading) module = undefined // the next call may have better luck
    })
  }
  return module
}

async function attempt(): Promise<WebAssembly.Module | null> {
  if (platform.compileFast === null || !WebAssembly.validate(PROBE)) return null
  const compiled = await platform.compileFast().catch((cause: unknown) => {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new GpfqError(
      'RUNTIME_MISSING',
      `fastMath: expected gpfq.relaxed.wasm beside gpfq.wasm, got ${reason}; put it there, or leave fastMath out`,
      { cause },
    )
  })
  return (await computesRight(compiled)) ? compiled : null
}

/** U = X₀W and Z = X₁ᵀU in both register tiles, on small whole numbers, which no rounding touches, fused or not. */
async function computesRight(compiled: WebAssembly.Module): Promise<boolean> {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true })
  const { advance } = await instantiate(compiled, memory)
  const [rows, panel] = [4, 8192] // of 256 rows
  const at = { x: 0, u: 2 * panel, w: 3 * panel, z: 3 * panel + 1024 }
  const floats = (from: number, length: number): Float32Array => new Float32Array(memory.buffer, from, length)
  const [x0, x1, w] = [floats(at.x, 8 * rows), floats(panel, 8 * rows), floats(at.w, 64)]
  for (const [seed, values] of [x0, x1, w].entries())
    for (let i = 0; i < values.length; i++) values[i] = ((7 * i + 3 * seed) % 11) - 4
  advance?.(0, at.x, at.u, at.w, 0, at.z, rows, 2, 1, 1, 1, 1, 0, 1, 0, 1)
  const product = (a: Float32Array, b: Float32Array, row: number, column: number): number => {
    let sum = 0
    for (let t = 0; t < 8; t++) sum += a[8 * row + t]! * b[8 * t + column]!
    return sum
  }
  return floats(at.z, 64).every((value, i) => {
    let expected = 0
    for (let row = 0; row < rows; row++) expected += x1[8 * row + (i >> 3)]! * product(x0, w, row, i & 7)
    return value === expected
  })
}
