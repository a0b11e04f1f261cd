/**
 * GPTQ, also called OPTQ (2210.17323), spreads the rounding error of each input over the inputs after it by the inverse of
 * H + λI. It assumes that the float network sees Xq too. With the factorization H + λI = LᵀΔL it is the path
 *
 *     q_t = A((Lw)_t − Σ_{s<t} L_ts q_s),
 *
 * the nearest-plane algorithm of 2507.18553: no inverse is formed, and the kernel is that of GPFQ. Float64 twin:
 * reference/nearestPlane.ts.
 *
 * Cost: n³/6 in float64 for the factor, N²K/2 for L·W and N²K/2 a candidate. When: the layers before this one are quantized
 * finely (it does not use X), or to compare with other tools. Act-order is the default.
 */
import * as kernels from '../wasm/kernels.js'
import { factor, factorRegions, UNIT_LOWER } from './factor.js'
import { substituteTask } from './gpfq.js'
import type { GramMethod, GramMethodKind, GramSystem } from './gramMethod.js'
import type { SolvePlan, SolveShape } from './solvePlan.js'

type Planned = Pick<SolvePlan, 'panels' | 'neuronPanels' | 'strip'>

/** Memory of the path through L, by name, in bytes. */
export function nearestPlaneRegions(
  shape: SolveShape,
  plan: Planned,
  threads: number,
): Record<string, number> {
  return {
    ...factorRegions(shape, plan),
    'target of the path': shape.groups * plan.neuronPanels * plan.panels * 256,
    'path scratch': threads * kernels.substituteScratch(plan.panels, plan.strip),
  }
}

/** The path through L, with the address of its target for qronos. */
export type NearestPlane = Required<Pick<GramMethod, 'prepare' | 'project' | 'choose'>> & {
  readonly target: number
}

/** The path through L to a target r = L·v. Here v = w; qronos adds to r afterwards. */
export function nearestPlane(system: GramSystem): NearestPlane {
  const { regions, recipe, columns } = system
  const lower = regions.at(UNIT_LOWER)
  const target = regions.at('target of the path')
  const scratch = regions.at('path scratch')
  return {
    target,
    prepare: (options) => factor(system, recipe.damping!, options),
    project: (request) => [
      [
        kernels.project({
          ...columns.of(request),
          g: lower,
          r: target,
          s: 0,
          triangular: true,
        }),
      ],
    ],
    choose: (request, candidates) => [
      [
        substituteTask(system, request, candidates, {
          h: lower,
          g: 0,
          r: target,
          s: 0,
          codes: columns.codes,
          errors: 0,
          scratch,
          triangular: true,
          follow: true,
        }),
      ],
    ],
  }
}

export const gptq: GramMethodKind = {
  ownDamping: true,
  regions: nearestPlaneRegions,
  create: nearestPlane,
}
