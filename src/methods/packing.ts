/**
 * From the caller's arrays to panels in shared memory: one copy of the raw tensor into a staging slot, then the workers
 * pad and pack. Two slots alternate, so that the next batch is copied while the workers still read the last one.
 */
import type { Phase } from '../engine/job.js'
import type { Pool, RunOptions } from '../engine/pool.js'
import type { Arena, Pointer } from '../wasm/arena.js'
import { BLOCK, PANEL_BYTES, pack, padPlanes } from '../wasm/kernels.js'
import { type LayerPlan, type LayerShape, pieceBlocksOf } from './plan.js'
import type { Gather, SampleBatch } from './samples.js'

interface Slot {
  readonly x: Pointer
  readonly xq: Pointer
  readonly xPadded: Pointer
  readonly xqPadded: Pointer
  readonly rowAt: Pointer
  readonly columnAt: Pointer
  busy: Promise<void>
}

export class Packer {
  /** Panels [block][group][panels][256][8] of X and of Xq (the same memory when Xq = X). */
  readonly x: Pointer
  readonly xq: Pointer
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
    this.#slots = [this.#slot(), this.#slot()]
  }

  #slot(): Slot {
    const { batchBytes, batchPaddedBytes, batchRows, inputs, same } = this.#shape
    const room = (bytes: number): Pointer => this.#arena.allocate(bytes)
    const x = room(batchBytes)
    const xPadded = room(batchPaddedBytes)
    return {
      x,
      xPadded,
      xq: same ? x : room(batchBytes),
      xqPadded: same ? xPadded : room(batchPaddedBytes),
      rowAt: room(4 * batchRows),
      columnAt: room(4 * inputs),
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
  async add(
    batch: SampleBatch,
    consume: (rows: number, full: boolean) => Phase[],
    options: RunOptions,
  ): Promise<void> {
    const { gather } = batch
    const slot = this.#slots[this.#turn]!
    this.#turn = 1 - this.#turn
    await slot.busy
    this.#arena.floats(slot.x, batch.x.length).set(batch.x)
    if (batch.xq !== null && !this.#shape.same) this.#arena.floats(slot.xq, batch.xq.length).set(batch.xq)
    this.#arena.words(slot.rowAt, gather.rows).set(gather.rowAt)
    this.#arena.words(slot.columnAt, gather.inputs).set(gather.columnAt)

    const job: Phase[] = this.#pad(slot, gather)
    const piece = pieceBlocksOf(this.#shape, this.#plan.panels) * BLOCK
    const capacity = this.#plan.residentBlocks * BLOCK
    for (let done = 0; done < gather.rows; ) {
      const rows = Math.min(gather.rows - done, piece - (this.#row % piece), capacity - this.#row)
      job.push(this.#pack(slot, gather, done, rows))
      done += rows
      this.#row += rows
      const full = this.#row === capacity
      job.push(...consume(this.#row, full))
      if (full && this.#plan.form !== 'direct') this.#row = 0
    }
    slot.busy = this.#pool.run(job, options)
    slot.busy.catch(() => {}) // reported by the next add or by settled()
  }

  /** Resolves when all added batches are packed, and starts the panels anew. */
  async settled(): Promise<void> {
    await Promise.all(this.#slots.map(({ busy }) => busy))
  }

  restart(): void {
    this.#row = 0
  }

  #pad(slot: Slot, { padding }: Gather): Phase[] {
    if (padding === null) return []
    const phase = [padPlanes({ ...padding, source: slot.x, target: slot.xPadded })]
    if (!this.#shape.same) phase.push(padPlanes({ ...padding, source: slot.xq, target: slot.xqPadded }))
    return [phase]
  }

  #pack(slot: Slot, gather: Gather, from: number, rows: number): Phase {
    const padded = gather.padding !== null
    const common = {
      groupBytes: gather.groupBytes,
      rowAt: slot.rowAt + 4 * from,
      columnAt: slot.columnAt,
      contiguous: gather.contiguous,
      rows,
      columns: gather.inputs,
      groups: gather.groups,
      perGroup: this.#plan.panels,
      panelBytes: PANEL_BYTES,
      toRow: this.#row,
    }
    const phase = [pack({ ...common, source: padded ? slot.xPadded : slot.x, panels: this.x })]
    if (!this.#shape.same) {
      phase.push(pack({ ...common, source: padded ? slot.xqPadded : slot.xq, panels: this.xq }))
    }
    return phase
  }
}
