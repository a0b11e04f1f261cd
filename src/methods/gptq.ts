/**
 * GPTQ, also called OPTQ (2210.17323): each input's rounding error is spread over the inputs to come by the inverse of
 * H + λI, both networks taken to see Xq. Written with H + λI = LᵀΔL it is the path
 *
 *     q_t = A((Lw)_t − Σ_{s<t} L_ts q_s),
 *
 * nearest plane of 2507.18553: no inverse is formed, and the kernel is GPFQ's. Float64 twin: reference/nearestPlane.ts.
 *
 * Cost: n³/6 float64 for the factor, N²K/2 for L·W and N²K/2 a candidate. When: few layers before this one are quantized
 * coarsely (it does not look at X), or to compare with other tools. Act-order is on unless switched off.
 */
import * as kernels from '../wasm/kernels.js'
import { Factor, factorRegions } from './factor.js'
import { substituteTask } from './gpfq.js'
import type { GramMethod, GramMethodKind, GramSystem } from './gramMethod.js'
import type { SolvePlan, SolveShape } from './solvePlan.js'

type Planned = Pick<SolvePlan, 'panels' | 'neuronPanels' | 'strip'>

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

/** The path of gptq, and what qronos needs of it. */
export type NearestPlane = Required<Pick<GramMethod, 'prepare' | 'project' | 'choose'>> & {
  readonly factor: Factor
  readonly target: number
}

/** The path through L to a target r = L·(what the layer should be), which begins as Lw. */
export function nearestPlane(system: GramSystem): NearestPlane {
  const { regions, recipe, columns } = system
  const factor = new Factor(system)
  const target = regions.at('target of the path')
  const scratch = regions.at('path scratch')
  return {
    factor,
    target,
    prepare: (options) => factor.compute(recipe.damping ?? 0, options),
    project: (request) => [
      [
        kernels.project({
          ...columns.of(request),
          g: factor.l,
          r: target,
          s: 0,
          triangular: true,
        }),
      ],
    ],
    choose: (request, candidates) => [
      [
        substituteTask(system, request, candidates, {
          h: factor.l,
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

export const gptq: GramMethodKind = { regions: nearestPlaneRegions, create: nearestPlane }
