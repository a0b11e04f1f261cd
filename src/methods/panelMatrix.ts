/**
 * Matrices in panels of 8 rows, as the kernels lay them out (assembly/gram.ts): [group][row panel][column][8 rows]. A
 * triangular matrix keeps the columns up to the end of each row panel's diagonal block. This file is the one place in
 * TypeScript that knows how such matrices are addressed.
 */
import { matrixBytes, PANEL, panelsOf, rowAt } from '../wasm/kernels.js'

/** How a square matrix of each of `groups` lies in a Float32Array. */
export interface PanelLayout {
  readonly groups: number
  /** Rows and columns that hold values; the padding up to 8·panels is zero. */
  readonly inputs: number
  readonly triangular: boolean
}

/** Floats of one group. */
const groupFloats = ({ inputs, triangular }: PanelLayout): number =>
  matrixBytes(panelsOf(inputs), triangular) / 4

/** Floats of all groups. */
export const matrixFloats = (layout: PanelLayout): number => layout.groups * groupFloats(layout)

/** Place of the entry (group, i, s) among the floats. */
export const entryAt = (layout: PanelLayout, group: number, i: number, s: number): number =>
  group * groupFloats(layout) + rowAt(i, panelsOf(layout.inputs), layout.triangular) + PANEL * s

/** Diagonals, (groups, inputs). */
export function diagonalOf(layout: PanelLayout, values: Float32Array): Float32Array {
  const diagonal = new Float32Array(layout.groups * layout.inputs)
  return diagonal.map((_, i) => values[onDiagonal(layout, i)]!)
}

/** Place of the entry i of the diagonals, (groups, inputs), among the floats. */
export function onDiagonal(layout: PanelLayout, i: number): number {
  const t = i % layout.inputs
  return entryAt(layout, (i - t) / layout.inputs, t, t)
}

/**
 * Copies a matrix into another layout of the same size, row panel by row panel: as many columns as both hold. A whole matrix
 * copied from a triangular one still lacks what lies above its diagonal blocks (kernels `mirror` fills it in).
 */
export function copyMatrix(
  from: PanelLayout,
  values: Float32Array,
  to: PanelLayout,
  target: Float32Array,
): void {
  if (from.triangular === to.triangular) {
    target.set(values)
    return
  }
  const panels = panelsOf(from.inputs)
  for (let g = 0; g < from.groups; g++) {
    for (let panel = 0; panel < panels; panel++) {
      const start = entryAt(from, g, panel * PANEL, 0)
      const columns = PANEL * (panel + 1)
      target.set(values.subarray(start, start + PANEL * columns), entryAt(to, g, panel * PANEL, 0))
    }
  }
}
