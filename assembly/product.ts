/**
 * The products that all paths share: 8 rows of a matrix times the columns of one panel of neurons, or of several. Order
 * of summation: the panels k0..k1 ascending, from zero, then added to c once (tile.ts).
 */
import { panelAt } from './gram'
import { multiply, ROW } from './tile'

/**
 * c(8, 8) += matrix[panel i, panels k0..k1)·b(k0..k1, 8).
 * @param matrix matrix of gram.ts
 * @param b (8·panels, 8); a pointer to its row 0, whatever k0 is
 */
export function product(matrix: usize, panels: i32, triangular: i32, i: i32, k0: i32, k1: i32, b: usize, c: usize): void {
  const a = matrix + panelAt(i, panels, triangular) + (<usize>k0 << 8)
  multiply<f32>(a, b + (<usize>k0 << 8), c, (k1 - k0) << 3)
}

/**
 * `product` for `count` panels of neurons. In between, the same columns of the next 8 rows are read, one byte of each
 * cache line. This prefetches them: they lie elsewhere in memory, and a core's own prefetcher only follows consecutive
 * addresses.
 * @param stride bytes from one b to the next, and from one c to the next
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
    multiply<f32>(a, b, c, steps)
    b += stride
    c += stride
  } while (--count)
}
