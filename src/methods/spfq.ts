/**
 * SPFQ, stochastic path following (Zhang & Saab, 2309.10975): GPFQ with unbiased random rounding, in two phases. The first,
 * data alignment, finds real weights w̃ with Xq w̃ ≈ Xw: the path without an alphabet and, for order r, r − 1 further
 * Gauss-Seidel sweeps on ‖Xw − Xq w̃‖. The second quantizes w̃ along the path on Xq alone. In the Gram form both are forward
 * substitutions with H, and the target of the second is the right-hand side of the last sweep of the first:
 *
 *     R₁ = tril(G)w,   R_i = Gw − triu(H, 1)·tril(H)⁻¹R_{i−1},   q_t = chance((R_r,t − Σ_{s<t} H_ts q_s) / H_tt)
 *
 * so order 1 is the one-phase algorithm. Float64 twin: reference/spfq.ts.
 *
 * Cost: that of GPFQ, and 2·N²K/2 for each order above 1. When: for research, and for its error bounds; on average plain
 * GPFQ has the smaller error. The random numbers depend on seed, layer, neuron and input alone.
 */
import type { Phase } from '../engine/job.js'
import * as kernels from '../wasm/kernels.js'
import * as methodKernels from '../wasm/methodKernels.js'
import type { GramMethod, GramMethodKind, GramSystem } from './gramMethod.js'
import type { SolveRequest } from './solution.js'

export const spfq: GramMethodKind = {
  regions({ groups, recipe }, { panels, neuronPanels }, threads) {
    const columns = groups * neuronPanels * panels * 256
    const sweeps = recipe.alignment! > 1
    return {
      'path scratch': threads * methodKernels.walkScratch(panels),
      ...(sweeps ? { 'aligned weights': 4 * columns } : {}),
    }
  },
  create(system): GramMethod {
    const { regions, plan, recipe, matrices, columns } = system
    const { panels } = plan
    const scratch = regions.at('path scratch')
    const order = recipe.alignment!
    const part = (i: number): number => {
      const name = 'aligned weights'
      return order > 1 ? regions.at(name) + (i * regions.bytes(name)) / 4 : 0
    }
    const [values, u, lower, aligned] = [part(0), part(1), part(2), part(3)]
    const sweep = (request: SolveRequest, from: number): Phase[] => {
      const own = columns.of(request)
      return [
        [walkTask(system, request, 1, { r: from, values, scratch, choice: 'exact' })],
        [kernels.project({ ...own, g: matrices.h, weights: values, r: lower, s: u, triangular: false })],
        [
          methodKernels.sweepTarget({
            ...{ b: system.r, s: system.s, u, r: aligned },
            bytes: own.columns * panels * 256,
          }),
        ],
      ]
    }
    return {
      project: (request) =>
        Array.from({ length: order - 1 }, (_, i) => sweep(request, i === 0 ? system.r : aligned)).flat(),
      choose: (request, candidates) => [
        [
          walkTask(system, request, candidates, {
            r: order > 1 ? aligned : system.r,
            codes: columns.codes,
            scratch,
            choice: 'chance',
            seed: seedOf(recipe.seed!, request.layer ?? 0),
          }),
        ],
      ],
    }
  },
}

/** The seed of a layer, 32 bits. */
export const seedOf = (seed: number, layer: number): number =>
  (Math.imul(seed, 0x9e3779b1) ^ Math.imul(layer + 1, 0x85ebca77)) | 0

type WalkArguments = Parameters<typeof methodKernels.walk>[0]

/** A task of the path whose choice of a value is not simply the nearest one (assembly/walk.ts). */
export function walkTask(
  { plan, columns, matrices }: GramSystem,
  request: SolveRequest,
  candidates: number,
  own: Pick<WalkArguments, 'r' | 'scratch' | 'choice'> & Partial<WalkArguments>,
): ReturnType<typeof methodKernels.walk> {
  return methodKernels.walk({
    ...columns.of(request),
    ...{ codes: 0, values: 0, lambda: 0, seed: 0 },
    h: matrices.h,
    triangular: plan.triangular,
    candidates,
    ...own,
  })
}
