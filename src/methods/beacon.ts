/**
 * Beacon (2508.20293) chooses integers z so that the direction of Xq z is as near as possible to that of Xw. A greedy pass
 * comes first, then a few loops over all inputs (`passes`, default 5). The scale of a neuron is the one that fits its
 * integers best; it has a closed form. No radius is searched, and no matrix is factored or damped. Mathematics:
 * assembly/beacon.ts; float64 twin: reference/beacon.ts.
 *
 * Cost: N²K for the greedy pass (H and Gᵀ), N²K/2 a loop: less than a search over 13 scales. When: there is time for one
 * run only, or the weights are spread so unevenly that no fraction of the maximum fits.
 */

import * as kernels from '../wasm/kernels.js'
import * as methodKernels from '../wasm/methodKernels.js'
import type { GramMethod, GramMethodKind } from './gramMethod.js'

export const beacon: GramMethodKind = {
  regions: ({ groups, streamsEqual }, { panels, neuronPanels }, threads) => ({
    'scales found': groups * neuronPanels * 32,
    ...(streamsEqual ? {} : { Gᵀ: groups * kernels.matrixBytes(panels, false) }),
    'beacon scratch': threads * methodKernels.beaconScratch(panels),
  }),
  create(system): GramMethod {
    const { pool, regions, shape, plan, recipe, matrices, columns } = system
    const { panels } = plan
    const { groups, streamsEqual } = shape
    const found = regions.at('scales found')
    const transposed = streamsEqual ? matrices.h : regions.at('Gᵀ')
    const scratch = regions.at('beacon scratch')
    return {
      ownPasses: true,
      async prepare(options) {
        if (!streamsEqual) {
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
            gt: transposed,
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
