/**
 * Qronos (2505.11695) spreads each error over the inputs after it, like GPTQ, but its target is the output of the float
 * network: the path approximates (H + λI)⁻¹(G + λI)w instead of w. The first input is chosen while all others are still
 * unquantized, so it gets the best value given them. The target is computed as v = w + (H + λI)⁻¹(G − H)w. This form loses
 * less to rounding than the paper's, and it is exactly GPTQ where Xq = X. Lv takes one triangular solve. Float64 twins:
 * reference/nearestPlane.ts (this form), reference/qronos.ts (least squares at every step).
 *
 * Cost: that of GPTQ, N²K for (G − H)·W and N²K/2 in float64 for the solve. When: the most accurate method here, above
 * all at few levels. Act-order is the default.
 */
import type { Phase } from '../engine/job.js'
import * as kernels from '../wasm/kernels.js'
import * as methodKernels from '../wasm/methodKernels.js'
import { FACTOR } from './factor.js'
import { type NearestPlane, nearestPlane, nearestPlaneRegions } from './gptq.js'
import type { GramMethod, GramMethodKind, GramSystem } from './gramMethod.js'

export const qronos: GramMethodKind = {
  ownDamping: true,
  regions(shape, plan, threads) {
    const columns = shape.groups * plan.neuronPanels * plan.panels * 256
    const own = shape.streamsEqual
      ? {}
      : {
          'G − H': shape.groups * kernels.matrixBytes(plan.panels, false),
          'projections of G − H': 2 * columns,
          'solve scratch': threads * plan.panels * 512,
        }
    return { ...nearestPlaneRegions(shape, plan, threads), ...own }
  },
  create(system): GramMethod {
    const base = nearestPlane(system)
    return system.shape.streamsEqual ? base : retargeted(system, base)
  },
}

/** GPTQ's path to the target v instead of w. */
function retargeted(system: GramSystem, base: NearestPlane): GramMethod {
  const { pool, regions, matrices, columns } = system
  const difference = regions.at('G − H')
  const u = regions.at('projections of G − H')
  const v = u + regions.bytes('projections of G − H') / 2
  const scratch = regions.at('solve scratch')
  return {
    choose: base.choose,
    async prepare(options) {
      const subtract = methodKernels.subtract({
        a: matrices.g,
        b: matrices.h,
        c: difference,
        bytes: regions.bytes('G − H'),
      })
      await pool.run([[subtract]], options)
      return base.prepare(options)
    },
    project(request): readonly Phase[] {
      const common = columns.of(request)
      return [
        ...base.project(request),
        [kernels.project({ ...common, g: difference, r: u, s: v, triangular: false })],
        [
          methodKernels.retarget({
            ...common,
            c: regions.at(FACTOR),
            h: matrices.h,
            u,
            v,
            r: base.target,
            scratch,
            triangular: false,
          }),
        ],
      ]
    },
  }
}
