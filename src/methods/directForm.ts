/**
 * GPFQ by the direct recursion, blocked (assembly/direct.ts): all samples stay packed in memory, the residual U of every
 * neuron is carried from block to block of inputs. The cheaper form for few neurons on many samples.
 */
import type { Phase, Task } from '../engine/job.js'
import type { Pool, RunOptions } from '../engine/pool.js'
import type { Arena, Pointer } from '../wasm/arena.js'
import * as kernels from '../wasm/kernels.js'
import { Columns } from './columns.js'
import { Packer } from './packing.js'
import { gramEdge, type LayerPlan, type LayerShape } from './plan.js'
import type { SampleBatch } from './samples.js'
import { ALIVE, type Diagnosis, type LayerForm, type Solution, type SolveRequest } from './solution.js'

export class DirectForm implements LayerForm {
  readonly packer: Packer
  readonly columns: Columns
  readonly #pool: Pool
  readonly #arena: Arena
  readonly #shape: LayerShape
  readonly #plan: LayerPlan
  readonly #blocks: number // of inputs
  readonly #h: Pointer // in-block triangles [group][block]
  readonly #g: Pointer
  readonly #n: Pointer // −Q, [group][neuron panel][8·panels][8]
  readonly #u: Pointer // [sample block][group][neuron panel][256][8]
  readonly #z: Pointer // [sample block][group][neuron panel][8·edge][8]
  readonly #scratch: Pointer
  #summed = 0 // rows that are in the triangles, whole sample blocks until the end

  constructor(pool: Pool, arena: Arena, shape: LayerShape, plan: LayerPlan) {
    this.#pool = pool
    this.#arena = arena
    this.#shape = shape
    this.#plan = plan
    this.#blocks = plan.panels / plan.edge
    this.packer = new Packer(pool, arena, shape, plan)
    const triangles = this.#triangleBytes()
    this.#h = arena.allocate(triangles)
    this.#g = shape.same ? this.#h : arena.allocate(triangles)
    this.columns = new Columns(arena, shape, plan.panels, plan.scaleBlocks, 1)
    const columns = shape.groups * plan.neuronPanels
    this.#n = arena.allocate(columns * plan.panels * 256)
    this.#u = arena.allocate(plan.residentBlocks * columns * kernels.BLOCK * 32)
    this.#z = arena.allocate(plan.residentBlocks * columns * plan.edge * 256)
    this.#scratch = arena.allocate(pool.threads * plan.edge * 256)
    for (const at of new Set([this.#h, this.#g])) arena.floats(at, triangles / 4).fill(0)
  }

  #triangleBytes(): number {
    return this.#shape.groups * this.#blocks * kernels.matrixBytes(this.#plan.edge, true)
  }

  /** The triangles of finished sample blocks are summed while their panels are still in the cache. */
  add(batch: SampleBatch, options: RunOptions): Promise<void> {
    return this.packer.add(batch, (rows) => this.#sum(rows - (rows % kernels.BLOCK)), options)
  }

  /** Ends the samples: sums what is left of the in-block triangles. */
  finish(options: RunOptions): Promise<void> {
    return this.packer.settled(this.#sum(this.packer.rows), options)
  }

  /** Adds the rows from #summed to `to` to the in-block triangles of H and G, each block of inputs a group of its own. */
  #sum(to: number): Phase[] {
    const rows = to - this.#summed
    if (rows <= 0) return []
    const { edge } = this.#plan
    const { x, xq } = this.packer
    const groups = this.#shape.groups * this.#blocks
    const from = (this.#summed / kernels.BLOCK) * groups * edge * kernels.PANEL_BYTES
    this.#summed = to
    const sum = (a: Pointer, c: Pointer): Task =>
      kernels.gram({
        a: a + from,
        b: xq + from,
        c,
        rows,
        panels: edge,
        groups,
        triangular: true,
        lower: true,
        edge: gramEdge(edge),
      })
    return [[sum(xq, this.#h), ...(this.#shape.same ? [] : [sum(x, this.#g)])]]
  }

  /** Looks at the diagonals: inputs that are zero in every sample (H_tt = 0), and whether all sums are finite. */
  diagnose(): Diagnosis {
    const { groups, inputs } = this.#shape
    const { edge } = this.#plan
    const block = kernels.matrixBytes(edge, true)
    let dead = 0
    let finite = true
    for (let g = 0; g < groups; g++) {
      for (let t = 0; t < inputs; t++) {
        const own = t % (8 * edge)
        const base = (g * this.#blocks + Math.floor(t / (8 * edge))) * block
        const at = base + 4 * (kernels.rowAt(own, edge, true) + 8 * own)
        const norm2 = this.#entry(this.#h + at)
        if (norm2 < ALIVE) dead++
        finite &&= Number.isFinite(norm2 + this.#entry(this.#g + at))
      }
    }
    return { dead, finite }
  }

  #entry(at: Pointer): number {
    return this.#arena.floats(at, 1)[0]!
  }

  async solve(request: SolveRequest, options: RunOptions): Promise<Solution> {
    const { weights, shape, levels, scales } = request
    const { same } = this.#shape
    const { edge } = this.#plan
    const { x, xq, rows } = this.packer
    const job: Phase[] = [this.columns.load(weights, shape)]
    this.columns.setScales(shape, levels, scales)
    const columns = this.columns.of(request)
    const step = {
      ...columns,
      x: same ? 0 : x,
      xq,
      u: this.#u,
      w: columns.weights,
      n: this.#n,
      z: this.#z,
      h: this.#h,
      g: same ? 0 : this.#g,
      scratch: this.#scratch,
      rows,
      blocks: this.#blocks,
      edge,
    }
    for (let now = 0; now < this.#blocks; now++)
      job.push([kernels.advance(step, now - 1, now)], [kernels.settle(step, now)])
    await this.#pool.run(job, options)
    return { codes: this.columns.readCodes(shape), scales: scales.values }
  }
}
