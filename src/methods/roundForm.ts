/**
 * Memoryless scalar quantization (MSQ): every weight to its nearest value. Needs no samples; they are only packed when
 * the error is measured.
 */
import type { Pool, RunOptions } from '../engine/pool.js'
import type { Arena } from '../wasm/arena.js'
import { panelsOf, round } from '../wasm/kernels.js'
import { Columns } from './columns.js'
import { Packer } from './packing.js'
import type { LayerPlan, LayerShape } from './plan.js'
import type { Diagnosis, LayerForm, Solution, SolveRequest } from './solution.js'

export class RoundForm implements LayerForm {
  readonly packer: Packer
  readonly columns: Columns
  readonly #pool: Pool
  readonly #plan: LayerPlan

  constructor(pool: Pool, arena: Arena, shape: LayerShape, plan: LayerPlan) {
    this.#pool = pool
    this.#plan = plan
    this.packer = new Packer(pool, arena, shape, plan)
    this.columns = new Columns(arena, shape, plan.panels, shape.scaleBlocks, 1)
  }

  async add(): Promise<void> {}

  async finish(): Promise<void> {}

  diagnose(): Diagnosis {
    return { dead: 0, finite: true }
  }

  async prepare(): Promise<readonly string[]> {
    return []
  }

  async solve({ weights, shape, levels, scales }: SolveRequest, options: RunOptions): Promise<Solution> {
    this.columns.setScales(shape, levels, scales, 1, () => 1)
    const task = round({
      weights: this.columns.weights,
      scales: this.columns.scales,
      zeros: this.columns.zeros,
      codes: this.columns.codes,
      inputs: shape.inputs,
      panels: this.#plan.panels,
      columns: shape.groups * panelsOf(shape.neurons),
      scaleBlocks: scales.blocks,
      scaleBlockSize: scales.blockSize,
      top: levels - 1,
    })
    await this.#pool.run([this.columns.load(weights, shape), [task]], options)
    return { codes: this.columns.readCodes(shape), scales: scales.values }
  }
}
