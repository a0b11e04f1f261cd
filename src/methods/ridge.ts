/**
 * A ridge adds λ to the diagonals of H and G. What is computed from them, the path, the passes and the search for scales, then
 * minimizes ‖Xw − Xq q‖² + λ‖w − q‖²: the plain error at λ = 0, that of rounding at infinity. It helps where few samples, or
 * a few loud ones, say too little of most weights. Float64 twin: reference/ridge.ts.
 */
import type { GramSystem } from './gramMethod.js'
import { matrixFloats, onDiagonal } from './panelMatrix.js'
import { ALIVE } from './solution.js'

/**
 * Adds λ to the diagonals of H and G, also where an input is dead, in place of the λ before.
 * @param share λ in units of the mean of diag H over the live inputs of each group
 */
export function addRidge({ arena, shape, plan, matrices }: GramSystem, share: number): void {
  const { diagonal, diagonalG, h, g } = matrices
  const layout = { ...shape, ...plan }
  const [ofH, ofG] = [h, g].map((at) => arena.floats(at, matrixFloats(layout)))
  let lambda = 0
  for (const [i, norm2] of diagonal.entries()) {
    if (i % shape.inputs === 0) {
      const live = diagonal.subarray(i, i + shape.inputs).filter((own) => own >= ALIVE)
      lambda = (share * live.reduce((sum, own) => sum + own, 0)) / Math.max(1, live.length)
    }
    const at = onDiagonal(layout, i)
    if (g !== h) ofG![at] = diagonalG[i]! + lambda
    ofH![at] = norm2 + lambda
  }
}
