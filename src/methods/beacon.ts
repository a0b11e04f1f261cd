/**
 * Beacon (2508.20293): scale-free. Integers are chosen so that Xq z points where Xw points, first greedily, then in a few
 * loops over all inputs (`passes`, 5 unless told); the scale that fits best follows by itself, one a neuron. No radius is
 * searched, nothing factored or damped. Mathematics: assembly/beacon.ts; float64 twin: reference/beacon.ts.
 *
 * Cost: N²K for the greedy pass (H and Gᵀ), N²K/2 a loop: less than a search over 13 scales. When: one run must do, or
 * weights are so far from an even spread that no fraction of the maximum fits.
 */

import * as kernels from '../wasm/kernels.js'
import * as methodKernels from '../wasm/methodKernels.js'
import type { GramMethod, GramMethodKind } from './gramMethod.js'

export const beacon: GramMethodKind = {
  regions: ({ groups, same }, { panels, neuronPanels }, threads) => ({
    'scales found': groups * neuronPanels * 32,
    ...(same ? {} : { Gᵀ: groups * kernels.matrixBytes(panels, false) }),
    scratch: threads * methodKernels.beaconScratch(panels),
  }),
  create(system): GramMethod {
    const { arena, pool, shape, plan, recipe, matrices, columns } = system
    const { panels, neuronPanels } = plan
    const { groups, same } = shape
    const found = arena.allocate(groups * neuronPanels * 32)
    const transposed = same ? 0 : arena.allocate(groups * kernels.matrixBytes(panels, false))
    const scratch = arena.allocate(pool.threads * methodKernels.beaconScratch(panels))
    return {
      ownPasses: true,
      async prepare(options) {
        if (!same) {
          await pool.run(
            [[methodKernels.transpose({ from: matrices.g, to: transposed, panels, groups })]],
            options,
          )
        }
        return []
      },
      choose: (request) => [
        [
          methodKernels.beacon({
            ...columns.of(request),
            h: matrices.h,
            gt: same ? matrices.h : transposed,
            r: system.r,
            s: system.s,
            found,
            scratch,
            zero: (request.levels - 1) / 2,
            loops: recipe.passes,
          }),
        ],
      ],
      scales: ({ shape }) => columns.readScales(shape, 1, found),
    }
  },
}
