/**
 * The exact output error of a solution on the samples, ‖XW − XqQ‖ / ‖XW‖, by running W and Q over the packed samples. In
 * the Gram form the samples are gone by then and have to be added once more; in the direct form they are still there.
 */
import type { Phase } from '../engine/job.js'
import type { Pool, RunOptions } from '../engine/pool.js'
import type { Arena, Pointer } from '../wasm/arena.js'
import * as kernels from '../wasm/kernels.js'
import { type Columns, toPanels } from './columns.js'
import type { Packer } from './packing.js'
import type { LayerPlan, LayerShape } from './plan.js'
import type { SampleBatch } from './samples.js'
import type { Solution, SolveRequest } from './solution.js'

/** Bytes that measuring takes beside the form's own. */
export function measureRegions(
  { groups, neurons }: LayerShape,
  { panels, residentBlocks }: LayerPlan,
  threads: number,
): Record<'measured −Q' | 'sums of errors' | 'error scratch', number> {
  const columns = groups * kernels.panelsOf(neurons)
  return {
    'measured −Q': columns * panels * 256,
    'sums of errors': residentBlocks * columns * 128,
    'error scratch': threads * 128,
  }
}

export class Measure {
  readonly #pool: Pool
  readonly #arena: Arena
  readonly #shape: LayerShape
  readonly #plan: LayerPlan
  readonly #packer: Packer
  readonly #columns: Columns
  #neurons: number // of the layer that is measured, per group
  readonly #negated: Pointer // −Q, [group][neuron panel][8·panels][8]
  readonly #sums: Pointer // [resident block][group][neuron panel][2][8] float64
  readonly #scratch: Pointer

  constructor(
    pool: Pool,
    arena: Arena,
    shape: LayerShape,
    plan: LayerPlan,
    form: { readonly packer: Packer; readonly columns: Columns },
  ) {
    this.#pool = pool
    this.#arena = arena
    this.#shape = shape
    this.#plan = plan
    this.#packer = form.packer
    this.#columns = form.columns
    this.#neurons = shape.neurons
    const bytes = measureRegions(shape, plan, pool.threads)
    this.#negated = arena.allocate(bytes['measured −Q'])
    this.#sums = arena.allocate(bytes['sums of errors'])
    this.#scratch = arena.allocate(bytes['error scratch'])
  }

  get #neuronPanels(): number {
    return kernels.panelsOf(this.#neurons)
  }

  #sumCount(): number {
    return this.#plan.residentBlocks * this.#shape.groups * this.#neuronPanels * 16
  }

  /** Turns the solution into values: weights and codes in the inputs' own order. */
  async begin(request: SolveRequest, solution: Solution, options: RunOptions): Promise<void> {
    this.#neurons = request.shape.neurons
    this.#arena.doubles(this.#sums, this.#sumCount()).fill(0)
    if (solution.values !== undefined) {
      await this.#pool.run([this.#columns.load(request.weights, request.shape)], options)
      const held = this.#plan.panels * kernels.PANEL
      const negated = this.#arena.floats(this.#negated, this.#shape.groups * this.#neuronPanels * held * 8)
      negated.fill(0)
      const negative = solution.values.map((value) => -value)
      toPanels(negative, request.shape, held, negated)
      return
    }
    const scales = { ...request.scales, values: solution.scales }
    this.#columns.setScales(request.shape, request.levels, scales)
    const dequantize = kernels.dequantize({ ...this.#columns.of(request), negated: this.#negated })
    this.#columns.writeCodes(request.shape, solution.codes)
    await this.#pool.run([this.#columns.load(request.weights, request.shape), [dequantize]], options)
  }

  add(batch: SampleBatch, options: RunOptions): Promise<void> {
    return this.#packer.add(batch, (rows, full) => (full ? this.#accumulate(rows) : []), options)
  }

  #accumulate(rows: number): Phase[] {
    return [
      [
        kernels.outputError({
          x: this.#packer.x,
          xq: this.#packer.xq,
          w: this.#columns.weights,
          n: this.#negated,
          out: this.#sums,
          scratch: this.#scratch,
          rows,
          panels: this.#plan.panels,
          groups: this.#shape.groups,
          neuronPanels: this.#neuronPanels,
        }),
      ],
    ]
  }

  /** The relative error over all samples added: infinite if only the quantized layer says anything, NaN if they hold NaN or infinity. */
  async finish(options: RunOptions): Promise<number> {
    await this.#packer.settled()
    if (this.#packer.rows > 0) await this.#pool.run(this.#accumulate(this.#packer.rows), options)
    const sums = this.#arena.doubles(this.#sums, this.#sumCount())
    let signal2 = 0
    let error2 = 0
    for (let i = 0; i < sums.length; i += 16) {
      // The last panel's padding has codes too, and in an alphabet without zero a value.
      const panel = (i / 16) % this.#neuronPanels
      const lanes = Math.min(kernels.PANEL, this.#neurons - kernels.PANEL * panel)
      for (let k = 0; k < lanes; k++) {
        signal2 += sums[i + k]!
        error2 += sums[i + 8 + k]!
      }
    }
    return error2 > 0 ? Math.sqrt(error2 / signal2) : error2
  }
}
