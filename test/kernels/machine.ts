/**
 * Runs kernels in tests: the module on a shared memory of its own, arrays laid out one after another, tasks run tile by
 * tile in any order on this thread.
 *
 * New memory is filled with NaN (0xff), so that a kernel that reads unwritten memory spoils its result. Every array
 * lies between guards that `run` checks afterwards, so that a write outside the arrays is an error.
 */
import { readFile } from 'node:fs/promises'
import { expect } from 'vitest'
import { type Task, tilesOfTask } from '#src/engine/job.js'
import { randomFrom } from '../random.js'

const PAGES = 1024
const GUARD_BYTES = 64
const GUARD = 0xa5

export interface Floats {
  readonly at: number
  readonly values: Float32Array
}

export interface Bytes {
  readonly at: number
  readonly values: Uint8Array
}

export interface Doubles {
  readonly at: number
  readonly values: Float64Array
}

export interface RunOrder {
  /** Shuffles the tiles; without it they run in order. */
  readonly seed?: number
  /** Number of workers that the tiles are given to in rotation, for kernels with scratch. */
  readonly workers?: number
}

export class Machine {
  readonly #memory: WebAssembly.Memory
  readonly #kernels: Record<string, (...args: number[]) => void>
  #top = 1024
  #guards: number[] = []

  private constructor(memory: WebAssembly.Memory, instance: WebAssembly.Instance) {
    this.#memory = memory
    this.#kernels = instance.exports as Record<string, (...args: number[]) => void>
  }

  static async create(): Promise<Machine> {
    const memory = new WebAssembly.Memory({ initial: PAGES, maximum: 65536, shared: true })
    const bytes = await readFile(new URL('../../dist/gpfq.wasm', import.meta.url))
    const { instance } = await WebAssembly.instantiate(bytes, { env: { memory } })
    return new Machine(memory, instance)
  }

  /** Releases all arrays. */
  reset(): this {
    this.#top = 1024
    this.#guards = []
    return this
  }

  #allocate(bytes: number): number {
    const at = this.#top + GUARD_BYTES
    const end = at + Math.ceil(bytes / 16) * 16
    if (end + GUARD_BYTES > this.#memory.buffer.byteLength)
      throw new Error('machine: this test needs more pages')
    const view = new Uint8Array(this.#memory.buffer)
    view.fill(GUARD, this.#top, at)
    view.fill(0xff, at, at + bytes)
    view.fill(GUARD, at + bytes, end + GUARD_BYTES)
    this.#guards.push(this.#top, at, at + bytes, end + GUARD_BYTES)
    this.#top = end
    return at
  }

  floats(content: number | ArrayLike<number>): Floats {
    const length = typeof content === 'number' ? content : content.length
    const at = this.#allocate(4 * length)
    const values = new Float32Array(this.#memory.buffer, at, length)
    if (typeof content !== 'number') values.set(content)
    return { at, values }
  }

  /** An array at the end of the memory: a read beyond it traps. */
  lastFloats(content: ArrayLike<number>): Floats {
    const at = this.#memory.buffer.byteLength - 4 * content.length
    if (at < this.#top + GUARD_BYTES) throw new Error('machine: this test needs more pages')
    const values = new Float32Array(this.#memory.buffer, at, content.length)
    values.set(content)
    return { at, values }
  }

  bytes(content: number | ArrayLike<number>): Bytes {
    const length = typeof content === 'number' ? content : content.length
    const at = this.#allocate(length)
    const values = new Uint8Array(this.#memory.buffer, at, length)
    if (typeof content !== 'number') values.set(content)
    return { at, values }
  }

  doubles(length: number): Doubles {
    const at = this.#allocate(8 * length)
    return { at, values: new Float64Array(this.#memory.buffer, at, length) }
  }

  /** Address of 32-bit offsets. */
  words(content: ArrayLike<number>): number {
    const at = this.#allocate(4 * content.length)
    new Uint32Array(this.#memory.buffer, at, content.length).set(content)
    return at
  }

  /** Runs all tiles of a task, then checks that nothing outside the arrays was written. */
  run(task: Task, { seed, workers = 1 }: RunOrder = {}): void {
    const kernel = this.#kernels[task.kernel]
    if (kernel === undefined) throw new Error(`machine: expected a kernel, got "${task.kernel}"`)
    const tiles = Array.from({ length: tilesOfTask(task) }, (_, tile) => tile)
    if (seed !== undefined) shuffle(tiles, seed)
    tiles.forEach((tile, turn) => {
      const begin = tile * task.step
      const end = Math.min(task.items, begin + task.step)
      kernel(...task.args, begin, end, turn % workers)
    })
    this.#checkGuards(task.kernel)
  }

  #checkGuards(kernel: string): void {
    const view = new Uint8Array(this.#memory.buffer)
    for (let i = 0; i < this.#guards.length; i += 2) {
      const guard = view.subarray(this.#guards[i]!, this.#guards[i + 1]!)
      if (!guard.every((byte) => byte === GUARD)) expect.fail(`${kernel} wrote outside its arrays`)
    }
  }
}

function shuffle(values: number[], seed: number): void {
  const random = randomFrom(seed)
  for (let i = values.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1))
    const value = values[i]!
    values[i] = values[j]!
    values[j] = value
  }
}
