/**
 * The tensors that batches hold between stages: in memory as far as the budget goes, in a temporary file beyond it. Where
 * there is no file, or it is full, a batch holds nothing and is computed again from its inputs whenever a stage needs it.
 */
import { ELEMENT_BYTES, elementsIn } from '../tensor/elements.js'
import { tensorNamed } from '../tensor/named.js'
import type { Feeds, Tensor } from '../tensor/tensor.js'
import { FileSpace, type OpenScratch, type ScratchFile } from './scratch.js'
import { bytesHeld, freshPair, type HeldPair, keepOnly } from './streamTensors.js'

/** A tensor in the file. */
interface Stored extends Pick<Tensor, 'type' | 'dims'> {
  readonly at: number
  readonly bytes: number
}

/** What a batch has in the file. */
interface StoredPair {
  readonly float: Map<string, Stored>
  readonly quantized: Map<string, Stored>
}

const STREAMS = ['float', 'quantized'] as const

export class HeldTensors {
  readonly #batches: readonly Feeds[]
  /** In memory; of batches beyond the budget the inputs alone. */
  readonly #pairs: readonly HeldPair[]
  /** Of batches beyond the budget that are in the file. */
  readonly #stored = new Map<number, StoredPair>()
  readonly #space = new FileSpace()
  #file: ScratchFile | null = null
  #resident = 0
  #peakBytes = 0
  /** Of the largest batch that was loaded from the file. */
  #loadedBytes = 0

  constructor(batches: readonly Feeds[]) {
    this.#batches = batches
    this.#pairs = batches.map(freshPair)
  }

  /** Most bytes that were in memory whenever `count` was called. */
  get peakBytes(): number {
    return this.#peakBytes
  }

  /** Counts the bytes in memory. */
  count(): void {
    const bytes = this.#pairs.reduce((sum, held) => sum + bytesHeld(held), 0)
    this.#peakBytes = Math.max(this.#peakBytes, bytes + this.#loadedBytes)
  }

  /** Batches that are computed again. */
  get recomputed(): number {
    return this.#batches.length - this.#resident - this.#stored.size
  }

  /** @param resident batches that fit into memory */
  async plan(resident: number, openScratch: OpenScratch): Promise<void> {
    this.#resident = resident
    if (resident === this.#batches.length) return
    this.#file = await openScratch()
    if (this.#file === null) return
    for (let batch = resident; batch < this.#batches.length; batch++)
      this.#stored.set(batch, { float: new Map(), quantized: new Map() })
  }

  isHeld(batch: number): boolean {
    return batch < this.#resident || this.#stored.has(batch)
  }

  /** Whether a batch holds a tensor of the quantized stream by itself. */
  differs(tensor: string): boolean {
    const isIn = ({ quantized }: HeldPair | StoredPair): boolean => quantized.has(tensor)
    return this.#pairs.some(isIn) || [...this.#stored.values()].some(isIn)
  }

  /**
   * Inputs and tensors of a batch that is held: of one in memory all, of one in the file those of these names. Null for a batch
   * that is computed again. What is changed in it counts after `store`.
   */
  async load(batch: number, names: Iterable<string>): Promise<HeldPair | null> {
    if (batch < this.#resident) return this.#pairs[batch]!
    const [stored, file] = [this.#stored.get(batch), this.#file]
    if (stored === undefined || file === null) return null
    const pair = freshPair(this.#batches[batch] ?? {})
    for (const name of new Set(names)) {
      for (const stream of STREAMS) {
        const own = stored[stream].get(name)
        if (own !== undefined) pair[stream].set(name, await read(file, own))
      }
    }
    return pair
  }

  /** Keeps what `load` gave, with the tensors that were added. */
  async store(batch: number, pair: HeldPair): Promise<void> {
    const stored = this.#stored.get(batch)
    if (stored === undefined) return
    this.#loadedBytes = Math.max(this.#loadedBytes, bytesHeld(pair))
    const given = this.#batches[batch] ?? {}
    try {
      for (const stream of STREAMS)
        for (const [name, tensor] of pair[stream])
          if (!stored[stream].has(name) && tensor !== tensorNamed(given, name))
            stored[stream].set(name, await this.#write(tensor))
    } catch {
      // The disk is full: the batch is computed again from here on.
      this.#drop(batch, () => true)
      this.#stored.delete(batch)
    }
  }

  /** Drops all other tensors of a batch. */
  keepOnly(batch: number, names: ReadonlySet<string>): void {
    keepOnly(this.#pairs[batch]!, names)
    this.#drop(batch, (name) => !names.has(name))
  }

  /** Puts tensors of the quantized stream in place of those that are held. */
  async replace(batch: number, tensors: ReadonlyMap<string, Tensor>): Promise<void> {
    this.#drop(batch, (name, stream) => stream === 'quantized' && tensors.has(name))
    const pair = await this.load(batch, [])
    if (pair === null) return
    for (const [name, tensor] of tensors) pair.quantized.set(name, tensor)
    await this.store(batch, pair)
  }

  async close(): Promise<void> {
    const file = this.#file
    this.#file = null
    this.#stored.clear()
    await file?.close()
  }

  #drop(batch: number, isDropped: (name: string, stream: (typeof STREAMS)[number]) => boolean): void {
    const stored = this.#stored.get(batch)
    if (stored === undefined) return
    for (const stream of STREAMS) {
      for (const [name, { at, bytes }] of stored[stream]) {
        if (!isDropped(name, stream)) continue
        stored[stream].delete(name)
        this.#space.give(at, bytes)
      }
    }
  }

  async #write({ type, dims, data }: Tensor): Promise<Stored> {
    const bytes = data.byteLength
    const at = this.#space.take(bytes)
    try {
      await this.#file!.write(at, new Uint8Array(data.buffer, data.byteOffset, bytes))
    } catch (error) {
      this.#space.give(at, bytes)
      throw error
    }
    return { type, dims, at, bytes }
  }
}

async function read(file: ScratchFile, { type, dims, at, bytes }: Stored): Promise<Tensor> {
  const buffer = new ArrayBuffer(bytes)
  await file.read(at, new Uint8Array(buffer))
  return { type, dims, data: elementsIn(type, buffer, 0, bytes / ELEMENT_BYTES[type]) }
}
