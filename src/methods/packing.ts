/**
 * From the caller's arrays to panels in shared memory: one copy of the raw tensor into a staging slot, then the workers
 * pad and pack. Two slots alternate, so that the next batch is copied while the workers still read the last one.
 */
import type { Job, Phase } from '../engine/job.js'
import type { Pool, RunOptions } from '../engine/pool.js'
import type { Arena, Pointer } from '../wasm/arena.js'
import { BLOCK, PANEL_BYTES, pack, padPlanes } from '../wasm/kernels.js'
import { type LayerPlan, type LayerShape, pieceBlocksOf } from './plan.js'
import type { Gather, SampleBatch } from './samples.js'

/** A batch in shared memory, X and where it differs Xq, and the offsets of its rows and inputs, one behind the other. */
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

/** What to do with the rows now in the panels. */
export type Consume = (rows: number, full: boolean) => Phase[]

export class Packer {
  /** Panels [block][group][panels][256][8] of X and of Xq (the same memory when Xq = X). */
  readonly x: Pointer
  readonly xq: Pointer
  readonly #target: Target
  readonly #pool: Pool
  readonly #arena: Arena
  readonly #shape: LayerShape
  readonly #plan: LayerPlan
  readonly #slots: readonly [Slot, Slot]
  #turn = 0
  #row = 0

  constructor(pool: Pool, arena: Arena, shape: LayerShape, plan: LayerPlan) {
    this.#pool = pool
    this.#arena = arena
    this.#shape = shape
    this.#plan = plan
    const panelBytes = plan.residentBlocks * shape.groups * plan.panels * PANEL_BYTES
    this.x = arena.allocate(panelBytes)
    this.xq = shape.same ? this.x : arena.allocate(panelBytes)
    const panels = shape.same ? [this.x] : [this.x, this.xq]
    this.#target = { panels, perGroup: plan.panels, panelBytes: PANEL_BYTES }
    this.#slots = [this.#slot(), this.#slot()]
  }

  #slot(): Slot {
    const { batchBytes, batchPaddedBytes, batchRows, inputs } = this.#shape
    const room = (bytes: number): Pointer => this.#arena.allocate(bytes)
    return {
      streams: this.#target.panels.map(() => ({ raw: room(batchBytes), padded: room(batchPaddedBytes) })),
      offsets: room(4 * (batchRows + inputs)),
      busy: Promise.resolve(),
    }
  }

  /** Rows now in the panels. */
  get rows(): number {
    return this.#row
  }

  /**
   * Adds a batch; after each piece of it that was packed, `consume` says what to do with the rows now in the panels. Full
   * panels are then started anew, but in the direct form, which keeps all samples. Resolves as soon as the batch is copied:
   * await `settled` for the work itself.
   */
  async add(batch: SampleBatch, consume: Consume, options: RunOptions): Promise<void> {
    const { gather } = batch
    const slot = this.#slots[this.#turn]!
    this.#turn = 1 - this.#turn
    await slot.busy
    for (const [i, { raw }] of slot.streams.entries()) {
      const from = i > 0 && batch.xq !== null ? batch.xq : batch.x
      this.#arena.floats(raw, from.length).set(from)
    }
    slot.busy = this.#pool.run(this.phases(slot, gather, consume), options)
    slot.busy.catch(() => {}) // reported by the next add or by settled()
  }

  /** What is done with a staged batch. */
  protected phases(slot: Slot, gather: Gather, consume: Consume): Phase[] {
    this.stage(slot.offsets, gather)
    const job: Phase[] = this.#pad(slot, gather)
    const piece = pieceBlocksOf(this.#shape, this.#plan.panels) * BLOCK
    const capacity = this.#plan.residentBlocks * BLOCK
    for (let done = 0; done < gather.rows; ) {
      const rows = Math.min(gather.rows - done, piece - (this.#row % piece), capacity - this.#row)
      job.push(this.pack(slot, slot.offsets, gather, done, rows, this.#target, this.#row))
      done += rows
      this.#row += rows
      const full = this.#row === capacity
      job.push(...consume(this.#row, full))
      if (full && this.#plan.form !== 'direct') this.#row = 0
    }
    return job
  }

  /** Resolves when all added batches are packed and used, and then `rest` is done. */
  async settled(rest: Job = [], options: RunOptions = {}): Promise<void> {
    await Promise.all([
      ...this.#slots.map(({ busy }) => busy),
      rest.length > 0 && this.#pool.run(rest, options),
    ])
  }

  restart(): void {
    this.#row = 0
  }

  #pad({ streams }: Slot, { padding }: Gather): Phase[] {
    if (padding === null) return []
    return [streams.map(({ raw, padded }) => padPlanes({ ...padding, source: raw, target: padded }))]
  }

  /** Writes a gather's offsets. */
  protected stage(at: Pointer, { rows, inputs, rowAt, columnAt }: Gather): void {
    this.#arena.words(at, rows).set(rowAt)
    this.#arena.words(at + 4 * rows, inputs).set(columnAt)
  }

  /** @param at the gather's offsets */
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
        source: gather.padding === null ? raw : padded,
        groupBytes: gather.groupBytes,
        rowAt: at + 4 * from,
        columnAt: at + 4 * gather.rows,
        contiguous: gather.contiguous,
        rows,
        columns: gather.inputs,
        groups: gather.groups,
        panels: target.panels[i]!,
        perGroup: target.perGroup,
        panelBytes: target.panelBytes,
        toRow,
      }),
    )
  }
}
