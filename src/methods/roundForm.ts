/**
 * Memoryless scalar quantization (MSQ): every weight to its nearest value. Needs no samples; they are only packed when
 * the error is measured, and for the vertex walk of 2209.03487 (`preprocess`): that first moves all but at most as many
 * weights of a neuron as there are samples to the ends of its alphabet, where rounding costs nothing, without changing
 * the neuron's outputs on Xq. It needs fewer samples than inputs; in float64, N·2m² multiply-adds a neuron. When: a wide
 * layer and very few samples; with many, path following loses less. Mathematics: assembly/vertex.ts; float64 twin:
 * reference/vertexWalk.ts.
 */
import type { Pool, RunOptions } from '../engine/pool.js'
import type { Arena, Pointer } from '../wasm/arena.js'
import { round } from '../wasm/kernels.js'
import { vertexScratch, vertexWalk } from '../wasm/methodKernels.js'
import { Columns } from './columns.js'
import { Packer } from './packing.js'
import type { LayerPlan, LayerShape } from './plan.js'
import type { SampleBatch } from './samples.js'
import type { Diagnosis, LayerForm, Solution, SolveRequest } from './solution.js'

export class RoundForm implements LayerForm {
  readonly packer: Packer
  readonly columns: Columns
  readonly #pool: Pool
  readonly #walks: boolean
  readonly #scratch: Pointer
  #rows = 0
  #finite = true

  constructor(pool: Pool, arena: Arena, shape: LayerShape, plan: LayerPlan) {
    this.#pool = pool
    this.packer = new Packer(pool, arena, shape, plan)
    this.columns = new Columns(arena, shape, plan.panels, plan.scaleBlocks, 1)
    this.#walks = shape.recipe?.preprocess === true
    this.#scratch = this.#walks
      ? arena.allocate(pool.threads * vertexScratch(shape.samples, shape.inputs))
      : 0
  }

  async add(batch: SampleBatch, options: RunOptions): Promise<void> {
    if (!this.#walks) return
    this.#finite &&= (batch.xq ?? batch.x).every(Number.isFinite)
    await this.packer.add(batch, () => [], options)
  }

  async finish(): Promise<void> {
    await this.packer.settled()
    this.#rows = this.packer.rows
    this.packer.restart()
  }

  diagnose(): Diagnosis {
    return { dead: 0, finite: this.#finite }
  }

  async solve(request: SolveRequest, options: RunOptions): Promise<Solution> {
    const { weights, shape, levels, scales } = request
    this.columns.setScales(shape, levels, scales)
    const columns = this.columns.of(request)
    const walk = vertexWalk({
      ...columns,
      x: this.packer.xq,
      scratch: this.#scratch,
      rows: this.#rows,
      neurons: shape.neurons,
    })
    const moved = this.#walks ? [[walk]] : []
    await this.#pool.run([this.columns.load(weights, shape), ...moved, [round(columns)]], options)
    return { codes: this.columns.readCodes(shape), scales: scales.values }
  }
}
