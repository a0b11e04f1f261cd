/** One product that all paths share: 8 rows of a matrix times the columns of one panel of neurons. */
import { panelAt } from './gram'
import { multiply } from './tile'

/**
 * c(8, 8) += matrix[panel i, panels k0..k1)·b(k0..k1, 8).
 * @param matrix of gram.ts
 * @param b (8·panels, 8), from its first row on
 */
export function product(matrix: usize, panels: i32, triangular: i32, i: i32, k0: i32, k1: i32, b: usize, c: usize): void {
  const a = matrix + panelAt(i, panels, triangular) + (<usize>k0 << 8)
  multiply(a, b + (<usize>k0 << 8), c, (k1 - k0) << 3)
}
