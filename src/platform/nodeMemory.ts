/**
 * The memory of a Node process. A limit of its addresses (`ulimit -v`) is met long before memory is used up: the shared
 * memory reserves 4 GiB of them, ONNX Runtime another 4, a thread half a GiB, and with the trap handler of V8 every
 * WebAssembly memory 10 GiB. A reservation that fails is an error; a thread that finds no addresses ends the process. So
 * threads and reservation are made smaller where there is a limit.
 */
import { readFileSync } from 'node:fs'
import { outOfMemory } from '../errors.js'

/** What to do where no memory can be reserved. */
export const MEMORY_HINT =
  'raise the limit of addresses (ulimit -v), or start Node with NODE_OPTIONS=--disable-wasm-trap-handler, without which ' +
  'every WebAssembly memory takes 10 GiB of them'

/** Bytes of addresses that the process can still take; infinite without a limit, and where the system does not say it. */
export function addressesLeft(): number {
  const limit = numberIn('/proc/self/limits', /Max address space +(\d+)/)
  const taken = numberIn('/proc/self/status', /VmSize:\s+(\d+)/)
  return limit === null || taken === null ? Number.POSITIVE_INFINITY : limit - 1024 * taken
}

/** Addresses of a thread in Node 20 to 24. */
const THREAD_BYTES = 520 * 2 ** 20

/** What a thread needs to start: itself, and its code. */
const START_BYTES = 3 * 2 ** 28

/** @throws GpfqError OUT_OF_MEMORY where there are no addresses for another thread, which would end the process */
export function checkThread(): void {
  if (addressesLeft() < START_BYTES)
    throw outOfMemory('worker thread', START_BYTES, ' of addresses', MEMORY_HINT, undefined)
}

/** What V8 gives ONNX Runtime where 4 GiB are not to be had: as many of four such steps as there are. */
const STEP_BYTES = 1020 * 2 ** 20

/** What code and arrays need beside the memories. */
const REST_BYTES = 400 * 2 ** 20

/**
 * Most pages of the kernels' memory: 4 GiB, or under a limit at most a third of the addresses, such that a thread and ONNX
 * Runtime have theirs, and code and arrays find enough behind its reservation.
 */
export function mostPages(): number {
  const left = addressesLeft()
  const sizes = [32, 31, 30, 29, 28, 27].map((bits) => 2 ** bits)
  const leavesRest = (bytes: number): boolean => {
    const after = left - THREAD_BYTES - bytes
    return after >= 4 * STEP_BYTES + REST_BYTES || after % STEP_BYTES >= REST_BYTES
  }
  return (sizes.find((bytes) => bytes <= left / 3 && leavesRest(bytes)) ?? sizes.at(-1)!) / 2 ** 16
}

function numberIn(file: string, pattern: RegExp): number | null {
  try {
    const [, digits] = pattern.exec(readFileSync(file, 'utf8')) ?? []
    return digits === undefined ? null : Number(digits)
  } catch {
    return null // another system than Linux
  }
}

/** Most bytes of resident memory that the process ever had; null where the runtime does not say it. */
export function processBytes(): number | null {
  try {
    return 1024 * process.resourceUsage().maxRSS || null
  } catch {
    return null
  }
}
