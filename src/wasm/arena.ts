/**
 * The shared memory as a stack: a computation marks the top, allocates what its plan lists, and releases to the mark. Freed
 * memory is reused, not returned to the system, since the first touch of a page costs more than all later ones.
 *
 * Views are made on demand: a grown shared memory has a new buffer, and old views keep the old length.
 */
import { CONTROL_BYTES } from '../engine/job.js'
import { EXCLUDE_OR_SHRINK, outOfMemory } from '../errors.js'

const PAGE = 65536

/** Bytes up to the next cache line, where a region of memory can begin. */
export const aligned = (bytes: number): number => Math.ceil(bytes / 64) * 64

/** A pointer: byte address in the shared memory. */
export type Pointer = number

export class Arena {
  readonly #memory: WebAssembly.Memory
  #top = CONTROL_BYTES
  #peak = CONTROL_BYTES

  constructor(memory: WebAssembly.Memory) {
    this.#memory = memory
  }

  /** Most bytes ever in use. */
  get peak(): number {
    return this.#peak
  }

  mark(): number {
    return this.#top
  }

  release(mark: number): void {
    this.#top = mark
  }

  /**
   * @param most for messages: what takes the most of it
   * @throws GpfqError OUT_OF_MEMORY where the memory cannot grow so far
   */
  allocate(bytes: number, most = ''): Pointer {
    const at = this.#top
    const top = aligned(at + bytes)
    const missing = top - this.#memory.buffer.byteLength
    if (missing > 0) {
      try {
        this.#memory.grow(Math.ceil(missing / PAGE))
      } catch (cause) {
        throw outOfMemory('shared memory', top, most, EXCLUDE_OR_SHRINK, cause)
      }
    }
    this.#top = top
    this.#peak = Math.max(this.#peak, top)
    return at
  }

  floats(at: Pointer, length: number): Float32Array {
    return new Float32Array(this.#memory.buffer, at, length)
  }

  doubles(at: Pointer, length: number): Float64Array {
    return new Float64Array(this.#memory.buffer, at, length)
  }

  words(at: Pointer, length: number): Uint32Array {
    return new Uint32Array(this.#memory.buffer, at, length)
  }

  bytes(at: Pointer, length: number): Uint8Array {
    return new Uint8Array(this.#memory.buffer, at, length)
  }
}
