/**
 * The factorization H + λI = LᵀΔL of GPTQ and Qronos (assembly/factor.ts), in float64, in blocks over the pool. λ is a
 * share of the mean of diag H, for each group of a convolution by itself. If a pivot is not positive (too little damping
 * for an H of few samples, or of linearly dependent inputs), λ grows tenfold, three times at most, and a note says so.
 */
import type { Phase } from '../engine/job.js'
import type { RunOptions } from '../engine/pool.js'
import { invalidData } from '../errors.js'
import type { Note } from '../notes.js'
import * as kernels from '../wasm/kernels.js'
import * as methodKernels from '../wasm/methodKernels.js'
import type { GramSystem } from './gramMethod.js'
import type { SolvePlan, SolveShape } from './solvePlan.js'

/** Columns of a block. Its triangle, 32 KB, fits into the first-level cache. */
const WIDTH = 64

/** Smallest pivot, in units of the mean of diag H. Rounding errors of an exactly singular matrix stay below it in float64. */
const LEAST = 2 ** -40

const ATTEMPTS = 4

/** The region of C of assembly/factor.ts, in reversed order, (groups, n, n) float64. */
export const FACTOR = 'factor in float64'
/** The region of L, a triangular matrix as in assembly/gram.ts. */
export const UNIT_LOWER = 'unit lower factor'

/** Memory of the factorization, by name, in bytes. */
export function factorRegions(
  { groups }: SolveShape,
  { panels }: Pick<SolvePlan, 'panels'>,
): Record<string, number> {
  const n = panels * kernels.PANEL
  return {
    [FACTOR]: groups * n * n * 8,
    [UNIT_LOWER]: groups * kernels.matrixBytes(panels, true),
    damping: 24 * groups, // λ and the least pivot, float64 [group]; whether it failed, int32 [group]
  }
}

const dampingRaised = (from: number, to: number): Note => ({
  code: 'DAMPING_RAISED',
  place: null,
  text: `H is not positive definite: damping raised from ${from} to ${to} of its mean diagonal`,
})

/**
 * Factors H + λI of all groups, in the regions of factorRegions.
 * @param damping λ in units of the mean of diag H
 * @returns a note where the damping had to grow
 * @throws GpfqError INVALID_DATA where a thousand times the damping is not enough
 */
export async function factor(
  system: GramSystem,
  damping: number,
  options: RunOptions,
): Promise<readonly Note[]> {
  const { pool, arena, regions, shape } = system
  const { groups } = shape
  const at = regions.at('damping')
  const means = meanDiagonals(system)
  const [lambdas, least] = [arena.doubles(at, groups), arena.doubles(at + 8 * groups, groups)]
  const failed = arena.words(at + 16 * groups, groups)
  least.set(means.map((mean) => LEAST * mean))
  for (let attempt = 0, share = damping; attempt < ATTEMPTS; attempt++) {
    lambdas.set(means.map((mean) => share * mean))
    failed.fill(0)
    await pool.run(factorJob(system), options)
    if (failed.every((flag) => flag === 0)) return attempt === 0 ? [] : [dampingRaised(damping, share)]
    share = share > 0 ? 10 * share : 1e-4
  }
  throw invalidData(
    'H',
    'a matrix that damping makes positive definite',
    `one that a thousand times ${damping} does not`,
    'use method gpfq, or more damping',
  )
}

/** Mean of diag H of each group; 1 where all inputs are dead. */
function meanDiagonals({ shape: { groups, inputs }, matrices }: GramSystem): Float64Array {
  return Float64Array.from({ length: groups }, (_, g) => {
    const own = matrices.diagonal.subarray(g * inputs, (g + 1) * inputs)
    const sum = own.reduce((total, norm2) => total + norm2, 0)
    return sum > 0 ? sum / inputs : 1
  })
}

function factorJob({ regions, shape, plan, matrices }: GramSystem): Phase[] {
  const { groups, inputs } = shape
  const { panels, triangular } = plan
  const n = panels * kernels.PANEL
  const a = regions.at(FACTOR)
  const damping = regions.at('damping')
  const least = damping + 8 * groups
  const failed = least + 8 * groups
  const job: Phase[] = [
    [methodKernels.reverse({ h: matrices.h, a, damping, inputs, panels, triangular, groups })],
  ]
  for (let from = 0; from < n; from += WIDTH) {
    const block = { a, n, from, to: Math.min(n, from + WIDTH), groups }
    if (from > 0) job.push([methodKernels.reduce(block)])
    job.push([methodKernels.factorBlock({ ...block, least, failed, inputs })])
    if (block.to < n) job.push([methodKernels.solveBlock(block)])
  }
  job.push([methodKernels.unitLower({ c: a, l: regions.at(UNIT_LOWER), panels, groups })])
  return job
}
