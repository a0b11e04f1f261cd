/**
 * GPFQ (and calibrated MSQ) in the Gram form: samples stream through H = XqᵀXq and G = XqᵀX and are forgotten; then any
 * number of layers that read the same samples are quantized from the two matrices. Memory does not grow with samples.
 * Mathematics: assembly/gram.ts, project.ts, substitute.ts.
 */
import type { Phase } from '../engine/job.js'
import type { Pool, RunOptions } from '../engine/pool.js'
import type { Arena, Pointer } from '../wasm/arena.js'
import * as kernels from '../wasm/kernels.js'
import { GRID, type WeightShape } from './alphabet.js'
import { Columns } from './columns.js'
import { Packer } from './packing.js'
import type { LayerPlan, LayerShape } from './plan.js'
import type { SampleBatch } from './samples.js'
import { ALIVE, type Diagnosis, type LayerForm, type Solution, type SolveRequest } from './solution.js'

export class GramForm implements LayerForm {
  readonly columns: Columns
  readonly packer: Packer
  readonly #pool: Pool
  readonly #shape: LayerShape
  readonly #plan: LayerPlan
  readonly #arena: Arena
  readonly #h: Pointer
  readonly #g: Pointer
  readonly #r: Pointer
  readonly #s: Pointer
  readonly #errors: Pointer
  readonly #scratch: Pointer

  constructor(pool: Pool, arena: Arena, shape: LayerShape, plan: LayerPlan) {
    this.#pool = pool
    this.#arena = arena
    this.#shape = shape
    this.#plan = plan
    this.packer = new Packer(pool, arena, shape, plan)
    const { panels, neuronPanels, triangular } = plan
    const { groups, candidates } = shape
    const matrix = groups * kernels.matrixBytes(panels, triangular)
    this.#h = arena.allocate(matrix)
    this.#g = shape.same ? this.#h : arena.allocate(matrix)
    for (const at of new Set([this.#h, this.#g])) arena.floats(at, matrix / 4).fill(0)
    this.columns = new Columns(arena, shape, panels, shape.scaleBlocks, candidates)
    const columnBytes = groups * neuronPanels * panels * 256
    this.#r = arena.allocate(columnBytes)
    this.#s = triangular ? 0 : arena.allocate(columnBytes)
    this.#errors = triangular ? 0 : arena.allocate(groups * candidates * neuronPanels * 64)
    this.#scratch = arena.allocate(pool.threads * kernels.substituteScratch(panels, plan.strip))
  }

  add(batch: SampleBatch, options: RunOptions): Promise<void> {
    return this.packer.add(batch, (rows) => this.#accumulate(rows), options)
  }

  /** Ends the samples: what is left in the panels is summed. Call once before `solve`. */
  async finish(options: RunOptions): Promise<void> {
    await this.packer.settled()
    const job: Phase[] = this.packer.rows > 0 ? this.#accumulate(this.packer.rows) : []
    const { same, groups } = this.#shape
    const { panels, triangular } = this.#plan
    if (same && !triangular) job.push([kernels.mirror({ matrix: this.#h, panels, groups })])
    this.packer.restart()
    await this.#pool.run(job, options)
  }

  #accumulate(rows: number): Phase[] {
    const { same, groups } = this.#shape
    const { panels, triangular, edge } = this.#plan
    const { x, xq } = this.packer
    const common = { b: xq, rows, panels, groups, edge, triangular }
    const phase = [kernels.gram({ ...common, a: xq, c: this.#h, lower: true })]
    if (!same) phase.push(kernels.gram({ ...common, a: x, c: this.#g, lower: triangular }))
    return [phase]
  }

  /** Looks at the diagonals: inputs that are zero in every sample (H_tt = 0), and whether all sums are finite. */
  diagnose(): Diagnosis {
    const { groups, inputs } = this.#shape
    const { panels, triangular } = this.#plan
    let dead = 0
    let finite = true
    for (let g = 0; g < groups; g++) {
      const base = g * kernels.matrixBytes(panels, triangular)
      for (let t = 0; t < inputs; t++) {
        const panel = t >> 3
        const row = triangular ? panel * (panel + 1) * 128 : panel * panels * 256
        const at = base + row + t * 32 + 4 * (t & 7)
        if (this.#entry(this.#h + at) < ALIVE) dead++
        finite &&= Number.isFinite(this.#entry(this.#h + at)) && Number.isFinite(this.#entry(this.#g + at))
      }
    }
    return { dead, finite }
  }

  #entry(at: Pointer): number {
    return this.#arena.floats(at, 1)[0]!
  }

  async solve(request: SolveRequest, options: RunOptions): Promise<Solution> {
    const { shape, levels, scales, search } = request
    const { panels, triangular } = this.#plan
    const neuronPanels = kernels.panelsOf(shape.neurons)
    const { groups } = shape
    const project = kernels.project({
      g: this.#g,
      weights: this.columns.weights,
      r: this.#r,
      s: search === 'none' ? 0 : this.#s,
      panels,
      triangular,
      neuronPanels,
      groups,
    })
    const job: Phase[] = [this.columns.load(request.weights, shape), [project]]
    let factors = new Float64Array(groups * shape.neurons).fill(1)
    if (search !== 'none') {
      this.columns.setScales(shape, levels, scales, GRID.length, (candidate) => GRID[candidate]!)
      job.push([this.#substitute(request, GRID.length)])
      await this.#pool.run(job.splice(0), options)
      factors = this.#leastErrors(shape, search === 'layer')
    }
    this.columns.setScales(shape, levels, scales, 1, (_, column) => factors[column]!)
    job.push([this.#substitute(request, 1)])
    await this.#pool.run(job, options)
    const chosen = scales.values.map((scale, i) => {
      const group = Math.floor(i / (scales.blocks * shape.neurons))
      return scale * factors[group * shape.neurons + (i % shape.neurons)]!
    })
    return { codes: this.columns.readCodes(shape), scales: chosen }
  }

  #substitute(
    { shape, levels, scales, follow }: SolveRequest,
    candidates: number,
  ): ReturnType<typeof kernels.substitute> {
    const searching = candidates > 1
    return kernels.substitute({
      h: this.#h,
      weights: this.columns.weights,
      r: this.#r,
      s: searching ? this.#s : 0,
      scales: this.columns.scales,
      zeros: this.columns.zeros,
      codes: searching ? 0 : this.columns.codes,
      errors: searching ? this.#errors : 0,
      scratch: this.#scratch,
      inputs: shape.inputs,
      panels: this.#plan.panels,
      triangular: this.#plan.triangular,
      neuronPanels: kernels.panelsOf(shape.neurons),
      groups: shape.groups,
      candidates,
      scaleBlocks: scales.blocks,
      scaleBlockSize: scales.blockSize,
      top: levels - 1,
      follow,
      strip: this.#plan.strip,
    })
  }

  /** The fraction of GRID with the least output error for each neuron, or one for all; (groups · neurons). */
  #leastErrors({ groups, neurons }: WeightShape, shared: boolean): Float64Array<ArrayBuffer> {
    const perGroup = kernels.panelsOf(neurons)
    const errors = this.#arena.doubles(this.#errors, groups * GRID.length * perGroup * 8)
    const at = (g: number, c: number, k: number): number =>
      ((g * GRID.length + c) * perGroup + (k >> 3)) * 8 + (k & 7)
    const factors = new Float64Array(groups * neurons)
    const totals = new Float64Array(GRID.length)
    for (let g = 0; g < groups; g++) {
      for (let k = 0; k < neurons; k++) {
        const column = GRID.map((_, c) => errors[at(g, c, k)]!)
        column.forEach((error, c) => {
          totals[c] = totals[c]! + error
        })
        factors[g * neurons + k] = GRID[leastIndex(column)]!
      }
    }
    return shared ? factors.fill(GRID[leastIndex([...totals])]!) : factors
  }
}

/** The smallest value's index, the last one of equals (the largest radius). */
function leastIndex(values: readonly number[]): number {
  return values.reduce((best, value, i) => (value <= values[best]! ? i : best), 0)
}
