/**
 * What a method over H and G is: at most a preparation of the matrices, then for each layer what does not depend on the
 * scales, then codes for any number of candidate scales at once. Everything around it (samples, search for the scale,
 * passes, reading the codes) is the same for all and lives in gramSolver.ts.
 */
import type { Phase, Task } from '../engine/job.js'
import type { Pool, RunOptions } from '../engine/pool.js'
import type { Note } from '../notes.js'
import type { Arena, Pointer } from '../wasm/arena.js'
import type { Columns } from './columns.js'
import type { Regions } from './layout.js'
import type { Matrices } from './matrices.js'
import type { Recipe } from './recipe.js'
import type { SolveRequest } from './solution.js'
import type { SolvePlan, SolveShape } from './solvePlan.js'

/** What a method may use. */
export interface GramSystem {
  readonly pool: Pool
  readonly arena: Arena
  readonly shape: SolveShape
  readonly plan: SolvePlan
  readonly recipe: Recipe
  /** The plan's memory; a method's own regions are there by the names of `regions`. */
  readonly regions: Regions
  readonly matrices: Matrices
  readonly columns: Columns
  /**
   * tril(G)·W and triu(G, 1)·W, [group][neuron panel][8·panels][8]; s = 0 where the plan is triangular, r where it does
   * not project.
   */
  readonly r: Pointer
  readonly s: Pointer
  /** [group][candidate][neuron panel][8] float64: ‖Xw − Xq q‖² − ‖Xw‖². */
  readonly errors: Pointer
}

export interface GramMethod {
  /** Once, when H and G are loaded; notes of what had to be changed. */
  prepare?(options: RunOptions): Promise<readonly Note[]>
  /** What does not depend on the scales. The weights are packed, r and s are not there yet but come in the same job. */
  project?(request: SolveRequest): readonly Phase[]
  /** Writes the codes for `candidates` scales a neuron. */
  choose(request: SolveRequest, candidates: number): readonly Phase[]
  /**
   * Finds what depends on the scales themselves, once they are chosen and written; null forgets what was found, for the
   * search.
   */
  readonly tune?: (request: SolveRequest | null, options: RunOptions) => Promise<void>
  /** The passes are part of `choose`. */
  readonly ownPasses?: boolean
  /** Whether `choose` searches the scales by itself, those of the request being the largest. */
  readonly finds?: (request: SolveRequest) => boolean
  /** The scales that `choose` ended with, where it changes them, (groups, blocks, neurons). */
  readonly scales?: (request: SolveRequest) => Float32Array
  /** Errors of all candidates without their codes, where the path gives them for nothing. */
  readonly score?: (request: SolveRequest, candidates: number) => Task
}

/** A method as the plan and the form see it. */
export interface GramMethodKind {
  /** Bytes it needs beyond the common ones, by name. */
  regions(
    shape: SolveShape,
    plan: Pick<SolvePlan, 'panels' | 'neuronPanels' | 'strip'>,
    threads: number,
  ): Record<string, number>
  create(system: GramSystem): GramMethod
}
