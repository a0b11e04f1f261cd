/**
 * Solves layers over H and G: any method (gramMethod.ts), all candidates for the scale as one batch, and passes of
 * coordinate descent on the codes. This file is what all methods share; each method is a small file of its own.
 *
 * The search computes codes for all fractions of GRID and compares the exact output errors. Plain GPFQ and MSQ get the
 * error from their path (`score`). For other methods the codes are kept, and the error is computed from H and G
 * (assembly/descend.ts); the same kernel makes the passes, so candidates are compared as they would be written. Then all
 * methods compute the codes for the chosen fractions again, which costs a thirteenth of the search. With a scale for each
 * block of inputs, gpfq and msq search along the path themselves (assembly/fork.ts).
 */
import type { Phase, Task } from '../engine/job.js'
import type { RunOptions } from '../engine/pool.js'
import type { Note } from '../notes.js'
import type { Pointer } from '../wasm/arena.js'
import * as kernels from '../wasm/kernels.js'
import * as methodKernels from '../wasm/methodKernels.js'
import { GRID, type Scales, type WeightShape } from './alphabet.js'
import { Columns } from './columns.js'
import type { Engine } from './engine.js'
import { kindOf } from './family.js'
import type { GramMethod } from './gramMethod.js'
import type { Regions } from './layout.js'
import type { Matrices } from './matrices.js'
import { permuteRows, toOrder } from './order.js'
import type { Recipe } from './recipe.js'
import type { Chosen, SolveRequest } from './solution.js'
import type { SolvePlan, SolveShape } from './solvePlan.js'

/** Solves the layers that share H and G, one after another in the same memory. */
export class GramSolver {
  readonly #engine: Engine
  readonly #plan: SolvePlan
  readonly #recipe: Recipe
  readonly #columns: Columns
  readonly #matrices: Matrices
  readonly #method: GramMethod
  readonly #r: Pointer // tril(G)·W, [group][neuron panel][8·panels][8]; 0 where it is not needed
  readonly #s: Pointer // triu(G, 1)·W, same shape
  readonly #errors: Pointer
  readonly #scratch: Pointer

  constructor(engine: Engine, shape: SolveShape, plan: SolvePlan, regions: Regions, matrices: Matrices) {
    const { projects, triangular, descendStrip } = plan
    this.#engine = engine
    this.#plan = plan
    this.#recipe = shape.recipe
    this.#matrices = matrices
    this.#columns = new Columns(engine.arena, regions, shape.inputs)
    this.#r = projects ? regions.at('tril(G)·W') : 0
    this.#s = triangular ? 0 : regions.at('triu(G, 1)·W')
    this.#errors = triangular ? 0 : regions.at('errors')
    this.#scratch = descendStrip > 0 ? regions.at('descent scratch') : 0
    this.#method = kindOf(shape.recipe).create({
      ...engine,
      ...{ shape, plan, recipe: shape.recipe, regions, matrices },
      columns: this.#columns,
      ...{ r: this.#r, s: this.#s, errors: this.#errors },
    })
  }

  /** Lets the method prepare the matrices, once for all layers. @returns notes of what had to be changed */
  async prepare(options: RunOptions): Promise<readonly Note[]> {
    return (await this.#method.prepare?.(options)) ?? []
  }

  /** Codes and scales of one layer; its relative error from H where the request asks for it. */
  async solve(given: SolveRequest, options: RunOptions): Promise<Chosen> {
    const { order } = this.#matrices
    const request = order === null ? given : toOrder(given, order, this.#plan.forks)
    const { shape, levels, scales } = request
    const job = this.#begin(request)
    const searching = request.search !== 'none' && this.#method.ownSearch?.(request) !== true
    const factors = searching ? await this.#search(request, job, options) : null
    const values = scaled(scales, shape, factors)
    this.#columns.setScales(shape, levels, { ...scales, values })
    const codes = await this.#chooseCodes(request, factors === null ? job : [], options)
    const found = this.#method.scales?.(request)
    const relativeError = given.withError
      ? await this.#errorFromH(request, codes, found ?? values, options)
      : undefined
    return {
      codes: order === null ? codes : permuteRows(codes, shape, order, true, new Uint8Array(codes.length)),
      scales: found ?? scaled(given.scales, shape, factors),
      ...(relativeError !== undefined && { relativeError }),
    }
  }

  /** The best of GRID for each neuron, or for the layer, (groups · neurons). */
  async #search(request: SolveRequest, job: Phase[], options: RunOptions): Promise<Float64Array> {
    const { shape, levels, scales } = request
    const count = GRID.length
    this.#columns.setScales(shape, levels, scales, GRID)
    const { score, tune } = this.#method
    await tune?.(null, options)
    const fused = score !== undefined && this.#recipe.passes === 0 && this.#plan.codeCandidates === 1
    // Where λ is found after the scales, they are chosen without passes, so the number of passes never changes the scales.
    if (fused) job.push([score(request, count)])
    else job.push(...this.#method.choose(request, count), [this.#descend(request, count, tune && 0)])
    await this.#engine.pool.run(job, options)
    return this.#leastErrors(request)
  }

  /** Codes (groups, inputs, neurons) for the scales that are written in the columns. */
  async #chooseCodes(
    request: SolveRequest,
    before: readonly Phase[],
    options: RunOptions,
  ): Promise<Uint8Array> {
    let job = before
    if (this.#method.tune !== undefined) {
      await this.#engine.pool.run(before, options)
      await this.#method.tune(request, options)
      job = []
    }
    const descends = this.#recipe.passes > 0 && this.#method.ownPasses !== true
    const passes = descends ? [[this.#descend(request, 1)]] : []
    await this.#engine.pool.run([...job, ...this.#method.choose(request, 1), ...passes], options)
    return this.#columns.readCodes(request.shape)
  }

  /** ‖XW − XqQ‖ / ‖XW‖ from H and G = H: E² = ‖Xw‖² + (qᵀHq − 2qᵀGw), ‖Xw‖² = wᵀGw. */
  async #errorFromH(
    request: SolveRequest,
    codes: Uint8Array,
    values: Float32Array,
    options: RunOptions,
  ): Promise<number> {
    const { shape, levels, scales } = request
    const perGroup = kernels.panelsOf(shape.neurons)
    const { panels } = this.#plan
    this.#columns.setScales(shape, levels, { ...scales, values })
    this.#columns.writeCodes(shape, codes)
    await this.#engine.pool.run([[this.#descend(request, 1, 0)]], options)
    const length = shape.groups * perGroup * panels * 64
    const [w, r, s] = [this.#columns.weights, this.#r, this.#s].map((at) =>
      this.#engine.arena.floats(at, length),
    )
    let signal2 = 0
    for (let i = 0; i < length; i++) signal2 += w![i]! * (r![i]! + s![i]!)
    const errors = this.#engine.arena.doubles(this.#errors, shape.groups * perGroup * 8)
    let error2 = signal2
    for (let i = 0; i < errors.length; i++)
      if (((i >> 3) % perGroup) * 8 + (i & 7) < shape.neurons) error2 += errors[i]!
    return signal2 > 0 ? Math.sqrt(Math.max(0, error2) / signal2) : 0
  }

  /** Packs the weights and projects them. */
  #begin(request: SolveRequest): Phase[] {
    const { triangular, projects } = this.#plan
    const project = kernels.project({
      ...this.#columns.of(request),
      g: this.#matrices.g,
      r: this.#r,
      s: this.#s,
      triangular,
    })
    return [
      this.#columns.load(request.weights, request.shape),
      ...(projects ? [[project]] : []),
      ...(this.#method.project?.(request) ?? []),
    ]
  }

  #descend(request: SolveRequest, candidates: number, passes = this.#recipe.passes): Task {
    return methodKernels.descend({
      ...this.#columns.of(request),
      h: this.#matrices.h,
      r: this.#r,
      s: this.#s,
      errors: this.#errors,
      scratch: this.#scratch,
      candidates,
      passes,
      sparse: this.#recipe.sparsity !== null,
      strip: this.#plan.descendStrip,
    })
  }

  /** Fractions with the least output error, (groups · neurons): one a neuron (of `planes` groups together) or one in all. */
  #leastErrors({ shape: { groups, neurons }, search, planes = 1 }: SolveRequest): Float64Array {
    const perGroup = kernels.panelsOf(neurons)
    const count = GRID.length
    const errors = this.#engine.arena.doubles(this.#errors, groups * count * perGroup * 8)
    const sums = new Float64Array((groups / planes) * neurons * count)
    const totals = new Float64Array(count)
    for (let g = 0; g < groups; g++) {
      for (let k = 0; k < neurons; k++) {
        const to = (Math.floor(g / planes) * neurons + k) * count
        for (let c = 0; c < count; c++) {
          const error = errors[((g * count + c) * perGroup + (k >> 3)) * 8 + (k & 7)]!
          sums[to + c] = sums[to + c]! + error
          totals[c] = totals[c]! + error
        }
      }
    }
    if (search === 'layer') return new Float64Array(groups * neurons).fill(bestOf(totals))
    return Float64Array.from({ length: groups * neurons }, (_, i) => {
      const from = (Math.floor(i / neurons / planes) * neurons + (i % neurons)) * count
      return bestOf(sums.subarray(from, from + count))
    })
  }
}

/** Scales (groups, blocks, neurons) times the factor of their neuron. */
function scaled(scales: Scales, { neurons }: WeightShape, factors: Float64Array | null): Float32Array {
  if (factors === null) return scales.values
  return scales.values.map((scale, i) => {
    const group = Math.floor(i / (scales.blocks * neurons))
    return scale * factors[group * neurons + (i % neurons)]!
  })
}

/** The fraction of GRID with the least error, the largest of equals. */
function bestOf(errors: Float64Array): number {
  return GRID[errors.reduce((best, error, i) => (error <= errors[best]! ? i : best), 0)]!
}
