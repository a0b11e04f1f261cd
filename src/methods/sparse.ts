/**
 * Sparse GPFQ (Zhang, Zhou & Saab, 2201.11113, section on sparsity): the greedy step with a penalty on nonzero values.
 * `soft:λ` shrinks the magnitude of the value by λ before rounding (l1). `hard:λ` takes 0 where the magnitude is at most λ
 * (l0). λ is in units of weights, as in the paper. `target:x` finds the hard λ for each layer that makes a share x of its
 * codes zero. The alphabet must include zero: an odd number of levels. Passes keep zeros. Float64 twin:
 * reference/sparse.ts.
 *
 * Cost: that of GPFQ; `target` follows the path 12 to 24 times more. When: the weights are also compressed or pruned.
 */
import * as methodKernels from '../wasm/methodKernels.js'
import type { GramMethod, GramMethodKind } from './gramMethod.js'
import type { SolveRequest } from './solution.js'
import { walkTask } from './spfq.js'

/** Most halvings of the interval of λ. Then float32 cannot distinguish its ends. */
const HALVINGS = 24

export const sparse: GramMethodKind = {
  regions: (_, { panels }, threads) => ({ 'path scratch': threads * methodKernels.walkScratch(panels) }),
  create(system): GramMethod {
    const { pool, regions, recipe, columns } = system
    const { rule, value } = recipe.sparsity!
    const scratch = regions.at('path scratch')
    let lambda = rule === 'target' ? 0 : value
    const choose: GramMethod['choose'] = (request, candidates) => [
      [
        walkTask(system, request, candidates, {
          r: system.r,
          codes: columns.codes,
          scratch,
          choice: rule === 'soft' ? 'soft' : 'hard',
          lambda,
        }),
      ],
    ]
    if (rule !== 'target') return { choose }
    return {
      choose,
      async tune(request, options) {
        lambda = 0
        if (request === null) return
        /** Zero weights with this λ, less the number that the target asks for. */
        const surplus = async (): Promise<number> => {
          await pool.run([...choose(request, 1)], options)
          const codes = columns.readCodes(request.shape)
          return codes.length * (zeroShare(codes, request.levels) - value)
        }
        let low = 0
        let high = largest(request)
        // Values on the path can be larger than all weights.
        for (lambda = high; (await surplus()) < 0; lambda = high) {
          low = high
          high *= 2
        }
        for (let i = 0; i < HALVINGS; i++) {
          lambda = (low + high) / 2
          const more = await surplus()
          if (more < 0) low = lambda
          else high = lambda
          if (more >= 0 && more < 1) break
        }
        lambda = high
      },
    }
  },
}

const largest = ({ weights }: SolveRequest): number =>
  weights.reduce((most, w) => Math.max(most, Math.abs(w)), 0)

/** Share of codes whose value is zero; 0 for an alphabet without zero. */
export function zeroShare(codes: Uint8Array, levels: number): number {
  const zero = (levels - 1) / 2
  return codes.reduce((count, code) => count + (code === zero ? 1 : 0), 0) / Math.max(1, codes.length)
}
