/** The products that all paths share: 8 rows of a matrix times the columns of one panel of neurons, or of several. */
import { panelAt } from './gram'
import { multiply, ROW } from './tile'

/**
 * c(8, 8) += matrix[panel i, panels k0..k1)·b(k0..k1, 8).
 * @param matrix of gram.ts
 * @param b (8·panels, 8), from its first row on
 */
export function product(matrix: usize, panels: i32, triangular: i32, i: i32, k0: i32, k1: i32, b: usize, c: usize): void {
  const a = matrix + panelAt(i, panels, triangular) + (<usize>k0 << 8)
  multiply(a, b + (<usize>k0 << 8), c, (k1 - k0) << 3)
}

/**
 * `product` for `count` panels of neurons, `stride` bytes from one b and c to the next. Meanwhile the same columns of the next 8
 * rows are read, a byte of each cache line: they come from another place, and a core foresees only what lies in a row.
 */
export function products(
  matrix: usize, panels: i32, triangular: i32, i: i32, k0: i32, k1: i32, b: usize, c: usize, count: i32, stride: usize,
): void {
  const columns = <usize>k0 << 8
  const a = matrix + panelAt(i, panels, triangular) + columns
  let next = matrix + panelAt(min(i + 1, panels - 1), panels, triangular) + columns
  const steps = (k1 - k0) << 3
  const piece = <usize>((steps >> 1) / count) << 6 // whole cache lines
  b += columns
  do {
    const end = next + piece
    while (next < end) {
      load<u8>(next)
      next += 2 * ROW
    }
    multiply(a, b, c, steps)
    b += stride
    c += stride
  } while (--count)
}
