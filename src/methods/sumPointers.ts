/** Where the sums of a segment lie, and the total that they are added to when the segment ends. */
import type { Pointer } from '../wasm/arena.js'

/**
 * Addresses of sums, first H and G, then the means: of the current segment, and of the total to which it is added at its
 * end; equal without segments.
 */
export interface SumPointers {
  readonly segment: Pointer
  readonly total: Pointer
}

/** The pointers that kernels take: the sum of the segment, and the total where the segment ends. */
export function targets(
  { segment, total }: SumPointers,
  offset: number,
  ends: boolean,
): { readonly c: Pointer; readonly total: Pointer } {
  return { c: segment + offset, total: ends && segment !== total ? total + offset : 0 }
}
