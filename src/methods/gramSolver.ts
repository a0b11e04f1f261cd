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
import type { Pointer } from '../wasm/arena.js'
import * as kernels from '../wasm/kernels.js'
import * as methodKernels from '../wasm/methodKernels.js'
import { GRID, type Scales, type WeightShape } from './alphabet.js'
import { Columns } from './columns.js'
import type { Engine } from './engine.js'
import type { GramMethod, GramSystem } from './gramMethod.js'
import type { Regions } from './layout.js'
import type { Matrices } from './matrices.js'
import { permuteRows, toOrder } from './order.js'
import { addRidge } from './ridge.js'
import type { Chosen, SolveRequest } from './solution.js'
import type { SolvePlan, SolveShape } from './solvePlan.js'

/** What the method of a recipe works on: the matrices, and the memory in which layers are solved one after another. */
export function gramSystem(
  engine: Engine,
  shape: SolveShape,
  plan: SolvePlan,
  regions: Regions,
  matrices: Matrices,
  ridge: number,
): GramSystem {
  const whole = (name: string): Pointer => (plan.triangular ? 0 : regions.at(name))
  return {
    ...engine,
    ...{ shape, plan, recipe: shape.recipe, regions, matrices, ridge },
    columns: new Columns(engine.arena, regions, shape.inputs),
    r: plan.projects ? regions.at('tril(G)·W') : 0,
    s: whole('triu(G, 1)·W'),
    errors: whole('errors'),
  }
}

/** Codes and scales of one layer; its relative error from H where the request asks for it. */
export async function solveLayer(
  system: GramSystem,
  method: GramMethod,
  given: SolveRequest,
  options: RunOptions,
): Promise<Chosen> {
  const { columns, matrices, plan } = system
  const { order } = matrices
  const request = order === null ? given : toOrder(given, order, plan.forks)
  const { shape } = request
  const job = begin(system, method, request)
  const searching = request.search !== 'none' && method.ownSearch?.(request) !== true
  const factors = searching ? await search(system, method, request, job, options) : null
  const values = scaled(request.scales, shape, factors)
  columns.setScales(request, values)
  const codes = await chooseCodes(system, method, request, factors === null ? job : [], options)
  const found = method.scales?.(request)
  return {
    ...(given.withError && {
      relativeError: await errorFromH(system, request, codes, found ?? values, options),
    }),
    codes: order === null ? codes : permuteRows(codes, shape, order, true),
    scales: found ?? scaled(given.scales, shape, factors),
  }
}

/** Packs the weights and projects them. */
function begin(system: GramSystem, method: GramMethod, request: SolveRequest): Phase[] {
  const { columns, plan } = system
  return [
    columns.load(request),
    ...(plan.projects ? [project(system, request)] : []),
    ...(method.project?.(request) ?? []),
  ]
}

/** Computes r and s. */
function project({ columns, matrices, plan, r, s }: GramSystem, request: SolveRequest): Phase {
  return [kernels.project({ ...columns.of(request), g: matrices.g, r, s, triangular: plan.triangular })]
}

/** The best of GRID for each neuron, or for the layer, (groups · neurons). */
async function search(
  system: GramSystem,
  method: GramMethod,
  request: SolveRequest,
  job: Phase[],
  options: RunOptions,
): Promise<Float64Array> {
  const { pool, columns, recipe, plan } = system
  const { score, tune } = method
  const count = GRID.length
  columns.setScales(request, request.scales.values, GRID)
  await tune?.(null, options)
  const fused = score !== undefined && recipe.passes === 0 && plan.codeCandidates === 1
  // Where λ is found after the scales, they are chosen without passes, so the number of passes never changes the scales.
  if (fused) job.push([score(request, count)])
  else job.push(...method.choose(request, count), [descend(system, request, count, tune && 0)])
  await pool.run(job, options)
  return leastErrors(system, request)
}

/** Codes (groups, inputs, neurons) for the scales that are written in the columns. */
async function chooseCodes(
  system: GramSystem,
  { tune, choose, ownPasses }: GramMethod,
  request: SolveRequest,
  before: readonly Phase[],
  options: RunOptions,
): Promise<Uint8Array> {
  const { pool, columns, recipe } = system
  let job = before
  if (tune !== undefined) {
    await pool.run(before, options)
    await tune(request, options)
    job = []
  }
  const passes = recipe.passes > 0 && ownPasses !== true ? [[descend(system, request, 1)]] : []
  await pool.run([...job, ...choose(request, 1), ...passes], options)
  return columns.readCodes(request.shape)
}

/** ‖XW − XqQ‖ / ‖XW‖ from H and G = H, without a ridge: E² = ‖Xw‖² + (qᵀHq − 2qᵀGw), ‖Xw‖² = wᵀGw. */
async function errorFromH(
  system: GramSystem,
  request: SolveRequest,
  codes: Uint8Array,
  scales: Float32Array,
  options: RunOptions,
): Promise<number> {
  const { pool, arena, columns, plan, ridge } = system
  const { groups, neurons } = request.shape
  const perGroup = kernels.panelsOf(neurons)
  columns.setScales(request, scales)
  columns.writeCodes(request.shape, codes)
  const job: Phase[] = [[descend(system, request, 1, 0)]]
  if (ridge > 0) {
    addRidge(system, 0)
    job.unshift(project(system, request))
  }
  await pool.run(job, options)
  if (ridge > 0) addRidge(system, ridge)
  const length = groups * perGroup * plan.panels * 64
  const [w, r, s] = [columns.weights, system.r, system.s].map((at) => arena.floats(at, length))
  let signal2 = 0
  for (let i = 0; i < length; i++) signal2 += w![i]! * (r![i]! + s![i]!)
  const errors = arena.doubles(system.errors, groups * perGroup * 8)
  let error2 = signal2
  for (let i = 0; i < errors.length; i++)
    if (((i >> 3) % perGroup) * 8 + (i & 7) < neurons) error2 += errors[i]!
  return signal2 > 0 ? Math.sqrt(Math.max(0, error2) / signal2) : 0
}

function descend(
  { regions, matrices, plan, recipe, columns, r, s, errors }: GramSystem,
  request: SolveRequest,
  candidates: number,
  passes = recipe.passes,
): Task {
  return methodKernels.descend({
    ...columns.of(request),
    ...{ h: matrices.h, r, s, errors, candidates, passes },
    scratch: regions.at('descent scratch'),
    ...(recipe.sparsity && { weights: 0 }), // passes keep all zeros
    strip: plan.descendStrip,
  })
}

/** Fractions with the least output error, (groups · neurons): one a neuron (of `planes` groups together) or one in all. */
function leastErrors(
  system: GramSystem,
  { shape: { groups, neurons }, search, planes = 1 }: SolveRequest,
): Float64Array {
  const perGroup = kernels.panelsOf(neurons)
  const count = GRID.length
  const errors = system.arena.doubles(system.errors, groups * count * perGroup * 8)
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
  return Float64Array.from({ length: groups * neurons }, (_, i) => {
    const from = (Math.floor(i / neurons / planes) * neurons + (i % neurons)) * count
    return bestOf(search === 'layer' ? totals : sums.subarray(from, from + count))
  })
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
