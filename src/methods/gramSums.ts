/**
 * Sums H = XqᵀXq and G = XqᵀX over samples as they stream in, segment by segment (observations.ts defines the order).
 * Samples are forgotten once they are summed, so memory does not grow with their number. Mathematics: assembly/gram.ts; of
 * a convolution also correlations.ts, of quantized inputs assembly/integers.ts.
 */
import type { Phase, Task } from '../engine/job.js'
import type { RunOptions } from '../engine/pool.js'
import type { Pointer } from '../wasm/arena.js'
import * as kernels from '../wasm/kernels.js'
import { Correlations } from './correlations.js'
import type { Engine } from './engine.js'
import { allocate, type Regions } from './layout.js'
import { type Sum, type SumLayout, sumLayout } from './observations.js'
import { Packer } from './packing.js'
import { observationShape, type SamplePlan, type SampleShape } from './samplePlan.js'
import type { SampleBatch } from './samples.js'
import { type SumPointers, targets } from './sumPointers.js'
import type { SegmentSums } from './sumUp.js'

export class GramSums implements SegmentSums {
  readonly #engine: Engine
  readonly #shape: SampleShape
  readonly #plan: SamplePlan
  readonly #layout: SumLayout
  readonly #regions: Regions
  readonly #sums: SumPointers
  readonly #packer: Packer

  constructor(engine: Engine, shape: SampleShape, plan: SamplePlan) {
    const regions: Regions = allocate(engine.arena, plan.layout)
    const total = regions.at('sums')
    this.#engine = engine
    this.#shape = shape
    this.#plan = plan
    this.#layout = sumLayout(observationShape(shape))
    this.#regions = regions
    this.#sums = { total, segment: total + (plan.segmented ? regions.bytes('sums') / 2 : 0) }
    this.#packer =
      shape.correlation === undefined
        ? new Packer(engine, shape, regions, plan.residentBlocks)
        : new Correlations(
            engine,
            { ...shape, correlation: shape.correlation },
            regions,
            plan.residentBlocks,
            { ...this.#sums, layout: this.#layout },
          )
    this.clear()
  }

  /** Sets all sums to zero. */
  clear(): void {
    this.#engine.arena.floats(this.#sums.total, this.#regions.bytes('sums') / 4).fill(0)
  }

  /** @param ends whether the batch's last row is the last one of a segment */
  add(batch: SampleBatch, ends: boolean, options: RunOptions): Promise<void> {
    return this.#packer.add(batch, (rows, last) => this.#accumulate(rows, last), options, ends)
  }

  /** Resolves when no worker reads or writes the memory of the sums any more. */
  idle(): Promise<void> {
    return this.#packer.idle()
  }

  /** Resolves when all batches are summed. Rows that are left in the panels are summed too; `ends` ends their segment. */
  finish(ends: boolean, options: RunOptions): Promise<void> {
    const { rows } = this.#packer
    const rest = rows > 0 || (ends && this.#plan.segmented) ? this.#accumulate(rows, ends) : []
    const pixels = this.#packer instanceof Correlations ? this.#packer.rest(ends) : []
    return this.#packer.idle([...rest, ...pixels], options)
  }

  /** A copy of the total. */
  read(): Sum {
    const { arena } = this.#engine
    const { length, means } = this.#layout
    const { total } = this.#sums
    return {
      values: arena.floats(total, length).slice(),
      means: arena.doubles(total + 4 * length, means).slice(),
    }
  }

  #accumulate(rows: number, ends: boolean): Phase[] {
    const { streamsEqual, groups, wholeG, means, weighted, scale = 0 } = this.#shape
    const { panels, edge } = this.#plan
    const { x, xq } = this.#packer
    const { h, g, length } = this.#layout
    const sum = (a: Pointer, b: Pointer, offset: number, whole: boolean, factor: number): Task =>
      kernels.gram({
        ...{ a, b, rows, panels, groups, edge, factor },
        ...targets(this.#sums, 4 * offset, ends),
        triangular: !whole,
        lower: !whole,
      })
    const columns = groups * panels
    const inputs = (a: Pointer, stream: number): Task =>
      kernels.sumInputs({
        ...{ a, rows, panels: columns },
        ...targets(this.#sums, 4 * length + 64 * columns * stream, ends),
      })
    const own = scale === 0 ? xq : this.#regions.at('paired samples')
    return [
      ...(scale === 0 ? [] : [[kernels.pairRows({ from: xq, to: own, rows, panels: columns, scale })]]),
      // Means are those of the samples as they are, so they come before weights.
      ...(means ? [(streamsEqual ? [x] : [x, xq]).map(inputs)] : []),
      ...(weighted && rows > 0 ? [[kernels.weighRows({ x, xq, rows, panels, groups })]] : []),
      [sum(own, own, h, false, scale ** 2), ...(streamsEqual ? [] : [sum(x, xq, g, wholeG, 0)])],
    ]
  }
}
