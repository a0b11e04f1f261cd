/**
 * Moves samples from the caller's arrays to panels in shared memory. Each raw tensor is copied once into a staging slot;
 * from there the workers pad and pack it. Two slots alternate: one batch is copied while the workers read the other.
 */
import type { Job, Phase } from '../engine/job.js'
import type { RunOptions } from '../engine/pool.js'
import { aligned, type Pointer } from '../wasm/arena.js'
import { BLOCK, PANEL_BYTES, pack, padPlanes, panelsOf } from '../wasm/kernels.js'
import type { Engine } from './engine.js'
import type { Regions } from './layout.js'
import { pieceBlocksOf, type SampleShape } from './samplePlan.js'
import type { Gather, SampleBatch } from './samples.js'

/** A batch in shared memory: X, and Xq where it differs, then the offsets of its rows and of its inputs. */
export interface Slot {
  readonly streams: readonly { readonly raw: Pointer; readonly padded: Pointer }[]
  readonly offsets: Pointer
  busy: Promise<void>
}

/** Panels [block][group][perGroup][rows of a block][8] of each stream. */
export interface Target {
  readonly panels: readonly Pointer[]
  readonly perGroup: number
  readonly panelBytes: number
}

/**
 * The phases that use the rows in the panels. Called when the panels are full, and at the end of a segment.
 * @param rows rows in the panels
 * @param ends whether these rows are the last ones of a segment
 */
export type Consume = (rows: number, ends: boolean) => Phase[]

/** The part of the samples' shape that packing needs. */
export type PackedShape = Pick<
  SampleShape,
  'rows' | 'inputs' | 'groups' | 'streamsEqual' | 'batchBytes' | 'batchPaddedBytes' | 'batchRows'
>

/** Packs batches of samples into panels, block by block, and runs the phases that use them. */
export class Packer {
  /** Panels [block][group][panels][256][8] of X and of Xq (the same memory where the streams are equal). */
  readonly x: Pointer
  readonly xq: Pointer
  readonly #target: Target
  readonly #engine: Engine
  readonly #capacity: number // rows
  readonly #piece: number // most rows that one phase packs
  readonly #slots: readonly [Slot, Slot]
  #turn = 0
  #row = 0

  /** @param residentBlocks blocks of 256 rows that the region 'packed samples' has room for, of each stream */
  constructor(engine: Engine, shape: PackedShape, regions: Regions, residentBlocks: number) {
    const { groups, streamsEqual, inputs } = shape
    const panels = panelsOf(inputs)
    this.#engine = engine
    this.#capacity = residentBlocks * BLOCK
    this.#piece = pieceBlocksOf(shape) * BLOCK
    this.x = regions.at('packed samples')
    this.xq = streamsEqual ? this.x : this.x + residentBlocks * groups * panels * PANEL_BYTES
    const streams = streamsEqual ? [this.x] : [this.x, this.xq]
    this.#target = { panels: streams, perGroup: panels, panelBytes: PANEL_BYTES }
    this.#slots = [this.#slot(shape, regions, 0), this.#slot(shape, regions, 1)]
  }

  #slot({ batchBytes, batchPaddedBytes }: PackedShape, regions: Regions, number: 0 | 1): Slot {
    const [batches, offsets] = ['staged batches', 'staged offsets']
    const first = regions.at(batches) + (number * regions.bytes(batches)) / 2
    const rawBytes = aligned(batchBytes)
    const each = rawBytes + aligned(batchPaddedBytes)
    return {
      streams: this.#target.panels.map((_, i) => ({
        raw: first + i * each,
        padded: first + i * each + rawBytes,
      })),
      offsets: regions.at(offsets) + (number * regions.bytes(offsets)) / 2,
      busy: Promise.resolve(),
    }
  }

  /** Rows now in the panels. */
  get rows(): number {
    return this.#row
  }

  /**
   * Adds a batch. Whenever the panels are full, and with `ends` after the last row, the phases of `consume` use the rows in
   * the panels, and packing starts again at the first block. Resolves when the batch is copied; `idle` awaits the work.
   * @throws what an earlier batch in the same slot has failed with
   */
  async add(batch: SampleBatch, consume: Consume, options: RunOptions, ends = false): Promise<void> {
    const { gather } = batch
    const slot = this.#slots[this.#turn]!
    this.#turn = 1 - this.#turn
    await slot.busy
    for (const [i, { raw }] of slot.streams.entries()) {
      const from = i > 0 && batch.xq !== null ? batch.xq : batch.x
      this.#engine.arena.floats(raw, from.length).set(from)
    }
    slot.busy = this.#engine.pool.run(this.phases(slot, gather, consume, ends), options)
    slot.busy.catch(() => {}) // reported by the next add or by idle()
  }

  /** The job for a staged batch. */
  protected phases(slot: Slot, gather: Gather, consume: Consume, ends: boolean): Phase[] {
    this.stage(slot.offsets, gather)
    const job: Phase[] = this.#pad(slot, gather)
    for (let done = 0; done < gather.rows; ) {
      const rows = Math.min(
        gather.rows - done,
        this.#piece - (this.#row % this.#piece),
        this.#capacity - this.#row,
      )
      job.push(this.pack(slot, slot.offsets, gather, done, rows, this.#target, this.#row))
      done += rows
      this.#row += rows
      if (this.#row === this.#capacity && !(ends && done === gather.rows))
        job.push(...this.consumed(consume, false))
    }
    if (ends && this.#row > 0) job.push(...this.consumed(consume, true))
    return job
  }

  /** The phases that use the rows in the panels. The next row is packed at the first block again. */
  protected consumed(consume: Consume, ends: boolean): Phase[] {
    const phases = consume(this.#row, ends)
    this.#row = 0
    return phases
  }

  /** Runs `rest` after all batches that were added. Resolves when no worker reads or writes this packer's memory any more. */
  async idle(rest: Job = [], options: RunOptions = {}): Promise<void> {
    await Promise.all([
      ...this.#slots.map(({ busy }) => busy),
      rest.length > 0 && this.#engine.pool.run(rest, options),
    ])
  }

  #pad({ streams }: Slot, { padding }: Gather): Phase[] {
    if (padding === null) return []
    return [streams.map(({ raw, padded }) => padPlanes({ ...padding, source: raw, target: padded }))]
  }

  /** Writes the offsets of a gather's rows and inputs to `at`. */
  protected stage(at: Pointer, { rows, inputs, rowAt, columnAt }: Gather): void {
    this.#engine.arena.words(at, rows).set(rowAt)
    this.#engine.arena.words(at + 4 * rows, inputs).set(columnAt)
  }

  /** A phase that packs `rows` rows of a gather, the first of them `from`. @param at address of the gather's offsets */
  protected pack(
    slot: Slot,
    at: Pointer,
    gather: Gather,
    from: number,
    rows: number,
    target: Target,
    toRow: number,
  ): Phase {
    return slot.streams.map(({ raw, padded }, i) =>
      pack({
        ...gather,
        ...target,
        source: gather.padding === null ? raw : padded,
        rowAt: at + 4 * from,
        columnAt: at + 4 * gather.rows,
        columns: gather.inputs,
        panels: target.panels[i]!,
        rows,
        toRow,
      }),
    )
  }
}
