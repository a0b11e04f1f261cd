/**
 * The module built with relaxed SIMD (assembly/tile.ts). It multiplies and adds in one instruction where the machine
 * has one, which can be faster. Machines with and without that instruction round differently, so codes may differ
 * between machines where two values are almost equally near. So the module is used only if the caller asks for it, and
 * only if it computes a known answer in this runtime.
 */
import { platform } from '#platform'
import { loadModule } from '../platform/init.js'
import { memoizeAsync } from '../platform/memoizeAsync.js'
import { instantiate } from './tiles.js'

/** A module with one function, () → v128 of relaxed_madd(0, 0, 0). It is valid only where there is relaxed SIMD. */
const PROBE = Uint8Array.of(
  ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0], // magic, version
  ...[1, 5, 1, 0x60, 0, 1, 0x7b], // types: () → v128
  ...[3, 2, 1, 0], // functions: one of type 0
  ...[10, 19, 1, 17, 0], // code: one body of 17 bytes, no locals
  ...[0x41, 0, 0xfd, 0x11, 0x41, 0, 0xfd, 0x11, 0x41, 0, 0xfd, 0x11], // three times i32.const 0, i32x4.splat
  ...[0xfd, 0x85, 0x02, 0x0b], // f32x4.relaxed_madd, end
)

/**
 * The fast module, compiled once for all quantizers; null where the runtime lacks relaxed SIMD or computes it wrongly.
 * @throws GpfqError RUNTIME_MISSING if the file cannot be loaded
 */
export const loadFastModule = memoizeAsync(async (): Promise<WebAssembly.Module | null> => {
  if (platform.compileFast === null || !WebAssembly.validate(PROBE)) return null
  const compiled = await platform.compileFast()
  return (await computesRight(compiled)) ? compiled : null
})

/** Whether it computes the same as the standard module on small whole numbers, whose results are exact. */
async function computesRight(compiled: WebAssembly.Module): Promise<boolean> {
  const expected = await knownAnswer(await loadModule())
  return (await knownAnswer(compiled)).every((value, i) => value === expected[i])
}

/**
 * The memory after XᵀX of a panel and the output error of a layer on it, 4 samples and 8 inputs: both register tiles of
 * assembly/tile.ts.
 */
async function knownAnswer(module: WebAssembly.Module): Promise<Float32Array> {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true })
  const floats = new Float32Array(memory.buffer)
  for (let i = 0; i < floats.length; i++) floats[i] = ((7 * i) % 11) - 4
  const { gram, outputError } = await instantiate(module, memory)
  if (gram === undefined || outputError === undefined) return floats.fill(Number.NaN)
  const [x, c, w, n, sums, scratch] = [0, 20480, 24576, 28672, 32768, 36864]
  floats.fill(0, sums / 4, sums / 4 + 32)
  const [rows, panels, groups, panelBytes, blockBytes] = [4, 1, 1, 8256, 8256]
  gram(x, x, c, 0, rows, panels, groups, panelBytes, blockBytes, 1, 1, 1, 0, 0, 1)
  outputError(x, x, w, n, sums, scratch, rows, panels, groups, 1, 1, 0, 1, 0)
  return floats
}
