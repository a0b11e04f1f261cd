/**
 * What every method reads: H = XqᵀXq and G = XqᵀX. Samples stream through them and are forgotten, so that memory does
 * not grow with samples, and any number of layers that read the same samples are quantized from the two matrices.
 * Mathematics: assembly/gram.ts; of a convolution also correlations.ts. In act-order both are permuted once, and everything
 * after sees permuted inputs.
 */
import type { Phase, Task } from '../engine/job.js'
import type { Pool, RunOptions } from '../engine/pool.js'
import type { Arena, Pointer } from '../wasm/arena.js'
import * as kernels from '../wasm/kernels.js'
import * as methodKernels from '../wasm/methodKernels.js'
import type { Correlations } from './correlations.js'
import { Packer } from './packing.js'
import type { LayerPlan, LayerShape } from './plan.js'
import type { SampleBatch } from './samples.js'
import { ALIVE, type Diagnosis } from './solution.js'

export class GramMatrices {
  readonly packer: Packer
  /** Order of inputs, [group][inputs]: place → input; null in their own order. */
  order: Uint32Array | null = null
  readonly #pool: Pool
  readonly #arena: Arena
  readonly #shape: LayerShape
  readonly #plan: LayerPlan
  readonly #correlations: Correlations | undefined
  #h: Pointer
  #g: Pointer

  constructor(pool: Pool, arena: Arena, shape: LayerShape, plan: LayerPlan, Sums?: typeof Correlations) {
    this.#pool = pool
    this.#arena = arena
    this.#shape = shape
    this.#plan = plan
    const { correlation } = shape
    this.#correlations = Sums && correlation && new Sums(pool, arena, shape, plan, correlation)
    this.packer = this.#correlations ?? new Packer(pool, arena, shape, plan)
    const bytes = this.#bytes()
    this.#h = arena.allocate(bytes)
    this.#g = shape.same ? this.#h : arena.allocate(bytes)
    for (const at of new Set([this.#h, this.#g])) arena.floats(at, bytes / 4).fill(0)
  }

  /** XqᵀXq, a matrix of gram.ts. Whole (also above the diagonal) unless the plan is triangular or only `same` needs it. */
  get h(): Pointer {
    return this.#h
  }

  /** XqᵀX, same shape; equal to h when Xq = X. */
  get g(): Pointer {
    return this.#g
  }

  #bytes(): number {
    return this.#shape.groups * kernels.matrixBytes(this.#plan.panels, this.#plan.triangular)
  }

  add(batch: SampleBatch, options: RunOptions): Promise<void> {
    return this.packer.add(batch, (rows, full) => (full ? this.#accumulate(rows) : []), options)
  }

  /** Ends the samples: what is left in the panels is summed, upper triangles are filled. Call once. */
  async finish(options: RunOptions): Promise<void> {
    const { same, groups } = this.#shape
    const { panels, triangular, wholeH } = this.#plan
    const { rows } = this.packer
    await this.packer.settled(
      [...(rows > 0 ? this.#accumulate(rows) : []), ...(this.#correlations?.rest() ?? [])],
      options,
    )
    this.packer.restart()
    this.#correlations?.combine(this.#h, this.#g)
    if (!triangular && (same || wholeH))
      await this.#pool.run([[kernels.mirror({ matrix: this.#h, panels, groups })]], options)
    if (this.#plan.ordered) await this.#permute(options)
  }

  #accumulate(rows: number): Phase[] {
    const { same, groups } = this.#shape
    const { panels, triangular, edge } = this.#plan
    const { x, xq } = this.packer
    const sum = (a: Pointer, c: Pointer, lower: boolean): Task =>
      kernels.gram({ a, b: xq, c, rows, panels, groups, edge, triangular, lower })
    return [[sum(xq, this.#h, true), ...(same ? [] : [sum(x, this.#g, triangular)])]]
  }

  /** Diagonal of H, (groups, inputs), in the order at hand. */
  diagonal(): Float32Array {
    return this.#diagonalOf(this.#h)
  }

  #diagonalOf(matrix: Pointer): Float32Array {
    const { groups, inputs } = this.#shape
    const { panels, triangular } = this.#plan
    const perGroup = kernels.matrixBytes(panels, triangular) / 4
    const values = this.#arena.floats(matrix, groups * perGroup)
    const diagonal = new Float32Array(groups * inputs)
    for (let g = 0; g < groups; g++) {
      for (let t = 0; t < inputs; t++) {
        diagonal[g * inputs + t] = values[g * perGroup + kernels.rowAt(t, panels, triangular) + 8 * t]!
      }
    }
    return diagonal
  }

  /** Inputs that are zero in every sample (H_tt = 0), and whether all sums are finite. */
  diagnose(): Diagnosis {
    const h = this.#diagonalOf(this.#h)
    const g = this.#shape.same ? h : this.#diagonalOf(this.#g)
    return {
      dead: h.reduce((count, norm2) => count + (norm2 < ALIVE ? 1 : 0), 0),
      finite: h.every(Number.isFinite) && g.every(Number.isFinite),
    }
  }

  /** Both matrices in descending order of the diagonal of H, of each block by itself where it forks; equals keep their order. */
  async #permute(options: RunOptions): Promise<void> {
    const { groups, inputs, same, blockSize } = this.#shape
    const { panels, forks } = this.#plan
    const blockOf = (input: number): number => (forks ? Math.floor(input / blockSize) : 0)
    const columns = panels * kernels.PANEL
    const diagonal = this.diagonal()
    const order = new Uint32Array(groups * inputs)
    const at = this.#arena.allocate(4 * groups * columns)
    const words = this.#arena.words(at, groups * columns)
    for (let g = 0; g < groups; g++) {
      const norms = diagonal.subarray(g * inputs, (g + 1) * inputs)
      const own = Uint32Array.from(norms.keys()).sort(
        (a, b) => blockOf(a) - blockOf(b) || norms[b]! - norms[a]! || a - b,
      )
      order.set(own, g * inputs)
      for (let t = 0; t < columns; t++) words[g * columns + t] = own[t] ?? t
    }
    const moved = (from: Pointer): { to: Pointer; phase: Phase } => {
      const to = this.#arena.allocate(this.#bytes())
      return { to, phase: [methodKernels.permute({ from, to, order: at, panels, groups })] }
    }
    const h = moved(this.#h)
    const g = same ? h : moved(this.#g)
    await this.#pool.run(same ? [h.phase] : [h.phase, g.phase], options)
    this.#h = h.to
    this.#g = g.to
    this.order = order
  }
}
