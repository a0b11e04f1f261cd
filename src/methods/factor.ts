/**
 * The factorization H + λI = LᵀΔL of GPTQ and Qronos (assembly/factor.ts), in float64, in blocks over the pool. λ is a
 * share of the mean of diag H, for each group of a convolution by itself. If a pivot is not positive (too little damping
 * for an H of few samples, or of linearly dependent inputs), λ grows tenfold, three times at most, and a note says so.
 */
import type { Phase } from '../engine/job.js'
import type { RunOptions } from '../engine/pool.js'
import { GpfqError } from '../errors.js'
import type { Note } from '../notes.js'
import type { Pointer } from '../wasm/arena.js'
import * as kernels from '../wasm/kernels.js'
import * as methodKernels from '../wasm/methodKernels.js'
import type { GramSystem } from './gramMethod.js'
import type { SolvePlan, SolveShape } from './solvePlan.js'

/** Columns of a block. Its triangle, 32 KB, fits into the first-level cache. */
const WIDTH = 64

/** Smallest pivot, in units of the mean of diag H. Rounding errors of an exactly singular matrix stay below it in float64. */
const LEAST = 2 ** -40

const ATTEMPTS = 4

/** Memory of the factorization, by name, in bytes. */
export function factorRegions(
  { groups }: SolveShape,
  { panels }: Pick<SolvePlan, 'panels'>,
): Record<string, number> {
  const n = panels * kernels.PANEL
  return {
    'factor in float64': groups * n * n * 8,
    'unit lower factor': groups * kernels.matrixBytes(panels, true),
    damping: 24 * groups,
  }
}

const dampingRaised = (from: number, to: number): Note => ({
  code: 'DAMPING_RAISED',
  place: null,
  text: `H is not positive definite: damping raised from ${from} to ${to} of its mean diagonal`,
})

/** The factor of all groups of one set of observations. */
export class Factor {
  /** Address of C of assembly/factor.ts, in reversed order, (groups, n, n) float64. */
  readonly c: Pointer
  /** Address of L, a triangular matrix as in assembly/gram.ts. */
  readonly l: Pointer
  readonly #system: GramSystem
  readonly #damping: Pointer // float64 [group]
  readonly #least: Pointer // float64 [group]
  readonly #failed: Pointer // int32 [group]

  constructor(system: GramSystem) {
    const { regions, shape } = system
    this.#system = system
    this.c = regions.at('factor in float64')
    this.l = regions.at('unit lower factor')
    this.#damping = regions.at('damping')
    this.#least = this.#damping + 8 * shape.groups
    this.#failed = this.#least + 8 * shape.groups
  }

  /**
   * Factors H + λI.
   * @param damping λ in units of the mean of diag H
   * @returns a note where the damping had to grow
   * @throws GpfqError INVALID_DATA where a thousand times the damping is not enough
   */
  async compute(damping: number, options: RunOptions): Promise<readonly Note[]> {
    const { pool, arena, shape } = this.#system
    const { groups } = shape
    const means = this.#meanDiagonals()
    arena.doubles(this.#least, groups).set(means.map((mean) => LEAST * mean))
    for (let attempt = 0, share = damping; attempt < ATTEMPTS; attempt++) {
      arena.doubles(this.#damping, groups).set(means.map((mean) => share * mean))
      const failed = arena.words(this.#failed, groups)
      failed.fill(0)
      await pool.run(this.#phases(), options)
      const bad = arena.words(this.#failed, groups).reduce((sum, flag) => sum + flag, 0)
      if (bad === 0) {
        return attempt === 0 ? [] : [dampingRaised(damping, share)]
      }
      share = share > 0 ? 10 * share : 1e-4
    }
    throw new GpfqError('INVALID_DATA', {
      place: 'H',
      expected: 'a matrix that damping makes positive definite',
      got: `one that a thousand times ${damping} does not`,
      hint: 'use method gpfq, or more damping',
    })
  }

  /** Mean of diag H of each group; 1 where all inputs are dead. */
  #meanDiagonals(): Float64Array {
    const { shape, matrices } = this.#system
    const { diagonal } = matrices
    return Float64Array.from({ length: shape.groups }, (_, g) => {
      const own = diagonal.subarray(g * shape.inputs, (g + 1) * shape.inputs)
      const sum = own.reduce((total, norm2) => total + norm2, 0)
      return sum > 0 ? sum / shape.inputs : 1
    })
  }

  #phases(): Phase[] {
    const { shape, plan, matrices } = this.#system
    const { groups, inputs } = shape
    const { panels, triangular } = plan
    const n = panels * kernels.PANEL
    const a = this.c
    const job: Phase[] = [
      [
        methodKernels.reverse({
          h: matrices.h,
          a,
          damping: this.#damping,
          inputs,
          panels,
          triangular,
          groups,
        }),
      ],
    ]
    for (let from = 0; from < n; from += WIDTH) {
      const to = Math.min(n, from + WIDTH)
      if (from > 0) job.push([methodKernels.reduce({ a, n, from, to, groups })])
      job.push([
        methodKernels.factorBlock({
          a,
          least: this.#least,
          failed: this.#failed,
          inputs,
          n,
          from,
          to,
          groups,
        }),
      ])
      if (to < n) job.push([methodKernels.solveBlock({ a, n, from, to, groups })])
    }
    job.push([methodKernels.unitLower({ c: a, l: this.l, panels, groups })])
    return job
  }
}
