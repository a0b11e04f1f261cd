/**
 * A temporary file for tensors that memory has no room for. "#scratch" of package.json chooses where it is: in the folder for
 * temporary files of Node, Bun and Deno, in a page's private file system, or nowhere.
 */

/** One run's file. Nothing else reads it, and it is gone when it is closed or the process ends. */
export interface ScratchFile {
  /** Fills `bytes` with what was written from there. @param at in bytes */
  read(at: number, bytes: Uint8Array<ArrayBuffer>): Promise<void>
  /** @param at in bytes */
  write(at: number, bytes: Uint8Array): Promise<void>
  close(): Promise<void>
}

/** Null where the runtime lets nothing be written. */
export type OpenScratch = () => Promise<ScratchFile | null>

/** Parts of a file: the first gap that is large enough is used, else the file grows. */
export class FileSpace {
  /** Gaps by their beginning, none of which touch each other. */
  readonly #gaps: { at: number; bytes: number }[] = []
  #end = 0

  /** Bytes of the file up to its last part. */
  get size(): number {
    return this.#end
  }

  /** @returns where a part of so many bytes begins */
  take(bytes: number): number {
    const index = this.#gaps.findIndex((gap) => gap.bytes >= bytes)
    const gap = this.#gaps[index]
    if (gap === undefined) {
      const at = this.#end
      this.#end += bytes
      return at
    }
    const { at } = gap
    if (gap.bytes === bytes) this.#gaps.splice(index, 1)
    else Object.assign(gap, { at: at + bytes, bytes: gap.bytes - bytes })
    return at
  }

  give(at: number, bytes: number): void {
    if (bytes === 0) return
    const found = this.#gaps.findIndex((gap) => gap.at > at)
    const index = found < 0 ? this.#gaps.length : found
    const own = { at, bytes }
    this.#gaps.splice(index, 0, own)
    const [before, after] = [this.#gaps[index - 1], this.#gaps[index + 1]]
    if (after !== undefined && at + bytes === after.at) {
      own.bytes += after.bytes
      this.#gaps.splice(index + 1, 1)
    }
    if (before !== undefined && before.at + before.bytes === at) {
      before.bytes += own.bytes
      this.#gaps.splice(index, 1)
    }
    const last = this.#gaps.at(-1)
    if (last !== undefined && last.at + last.bytes === this.#end) {
      this.#end = last.at
      this.#gaps.pop()
    }
  }
}
