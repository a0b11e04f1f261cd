/**
 * Sums H = XqᵀXq and G = XqᵀX over samples as they stream in, segment by segment (observations.ts defines the order).
 * Samples are forgotten once they are summed, so memory does not grow with their number. Mathematics: assembly/gram.ts; of
 * a convolution also correlations.ts.
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

export class GramSums {
  readonly #engine: Engine
  readonly #shape: SampleShape
  readonly #plan: SamplePlan
  readonly #layout: SumLayout
  readonly #values: SumPointers
  readonly #means: SumPointers
  readonly #packer: Packer

  constructor(engine: Engine, shape: SampleShape, plan: SamplePlan) {
    const regions: Regions = allocate(engine.arena, plan.layout)
    const pointers = (name: string): SumPointers => {
      const total = regions.at(name)
      return { total, segment: plan.segmented ? regions.at(`${name} of a segment`) : total }
    }
    this.#engine = engine
    this.#shape = shape
    this.#plan = plan
    this.#layout = sumLayout(observationShape(shape))
    this.#values = pointers('sums')
    this.#means = pointers('sums of inputs')
    this.#packer =
      shape.correlation === undefined
        ? new Packer(engine, shape, regions, plan.residentBlocks)
        : new Correlations(
            engine,
            { ...shape, correlation: shape.correlation },
            regions,
            plan.residentBlocks,
            { values: this.#values, means: this.#means, layout: this.#layout },
          )
    this.clear()
  }

  /** Sets all sums to zero. */
  clear(): void {
    for (const pointers of [this.#values, this.#means]) {
      const length = pointers === this.#values ? this.#layout.length : 2 * this.#layout.means
      for (const at of new Set(Object.values(pointers))) this.#engine.arena.floats(at, length).fill(0)
    }
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
    return {
      values: arena.floats(this.#values.total, this.#layout.length).slice(),
      means: arena.doubles(this.#means.total, this.#layout.means).slice(),
    }
  }

  #accumulate(rows: number, ends: boolean): Phase[] {
    const { streamsEqual, groups, wholeG, means } = this.#shape
    const { panels, edge } = this.#plan
    const { x, xq } = this.#packer
    const { h, g } = this.#layout
    const sum = (a: Pointer, offset: number, whole: boolean): Task =>
      kernels.gram({
        ...{ a, b: xq, rows, panels, groups, edge },
        ...targets(this.#values, 4 * offset, ends),
        triangular: !whole,
        lower: !whole,
      })
    const columns = groups * panels
    const inputs = (a: Pointer, stream: number): Task => {
      const { c: own, total } = targets(this.#means, 64 * columns * stream, ends)
      return kernels.sumInputs({ a, sum: own, total, rows, panels: columns })
    }
    return [
      [
        sum(xq, h, false),
        ...(streamsEqual ? [] : [sum(x, g, wholeG)]),
        ...(means ? [inputs(x, 0), ...(streamsEqual ? [] : [inputs(xq, 1)])] : []),
      ],
    ]
  }
}
