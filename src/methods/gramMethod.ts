/**
 * The interface of a method over H and G. A method may prepare the matrices; for each layer it computes what does not
 * depend on the scales, and then codes for any number of candidate scales at once. Everything else (samples, the search for
 * the scale, passes, reading the codes) is the same for all methods: gramSolver.ts.
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

/** What a method may use: memory, matrices and the columns of the layer that it solves. */
export interface GramSystem {
  readonly pool: Pool
  readonly arena: Arena
  readonly shape: SolveShape
  readonly plan: SolvePlan
  readonly recipe: Recipe
  /** The memory of the plan. A method finds its own regions by the names that its `regions` gives them. */
  readonly regions: Regions
  readonly matrices: Matrices
  /** λ on the diagonals of H and G, in units of the mean of diag H (ridge.ts). */
  readonly ridge: number
  readonly columns: Columns
  /**
   * r = tril(G)·W and s = triu(G, 1)·W, [group][neuron panel][8·panels][8] float32. The address s is 0 where the plan is
   * triangular, and r is 0 where the plan does not project.
   */
  readonly r: Pointer
  readonly s: Pointer
  /** [group][candidate][neuron panel][8] float64: ‖Xw − Xq q‖² − ‖Xw‖². */
  readonly errors: Pointer
}

/** A method on the memory of one set of observations. Phases run in the order prepare, project, choose. */
export interface GramMethod {
  /** Prepares H and G once, for all layers. @returns notes of what had to be changed */
  prepare?(options: RunOptions): Promise<readonly Note[]>
  /** Phases for what does not depend on the scales. Earlier phases of the same job pack the weights and compute r and s. */
  project?(request: SolveRequest): readonly Phase[]
  /** Phases that write the codes for each of `candidates` scales of every neuron. */
  choose(request: SolveRequest, candidates: number): readonly Phase[]
  /**
   * Computes what depends on the chosen scales, after they are written. A request of null resets it, before a search.
   */
  readonly tune?: (request: SolveRequest | null, options: RunOptions) => Promise<void>
  /** True where `choose` makes the passes itself. */
  readonly ownPasses?: boolean
  /** Whether `choose` searches the scales itself. The scales of the request are then the largest candidates. */
  readonly ownSearch?: (request: SolveRequest) => boolean
  /** The scales that `choose` has found, (groups, blocks, neurons); absent where it keeps those of the request. */
  readonly scales?: (request: SolveRequest) => Float32Array
  /** A task that writes the errors of all candidates but no codes, where the path computes them on the way. */
  readonly score?: (request: SolveRequest, candidates: number) => Task
}

/** A method as the plan and the solver see it. */
export interface GramMethodKind {
  /** True where the method damps by itself what it factors, instead of H and G. */
  readonly ownDamping?: boolean
  /** Memory that the method needs besides the common regions, by name, in bytes. */
  regions(
    shape: SolveShape,
    plan: Pick<SolvePlan, 'panels' | 'neuronPanels' | 'strip'>,
    threads: number,
  ): Record<string, number>
  create(system: GramSystem): GramMethod
}
