/**
 * The layouts of the kernels, computed directly: from plain row-major matrices to panels of 8 columns and back. Twin of
 * assembly/pack.ts and of panelAt in assembly/gram.ts.
 */
export const BLOCK = 256

/** Floats from one panel of a sample block to the next: two rows more than a panel has. */
export const PANEL_FLOATS = (BLOCK + 2) * 8

/** (rows, columns), row-major. */
export interface Matrix {
  readonly rows: number
  readonly columns: number
  readonly values: ArrayLike<number>
}

export const panelsOf = (columns: number): number => Math.ceil(columns / 8)

/** Fills a float array with zeros and calls `put` with a function that writes elements. */
function filled(length: number, put: (out: Float32Array) => void): Float32Array {
  const out = new Float32Array(length)
  put(out)
  return out
}

/**
 * Samples as [block][group][panel][256 + 2][8]. Rows beyond the samples are NaN, because no result may depend on them.
 * @param groups one matrix (rows, columns) a group
 */
export function samplePanels(groups: readonly Matrix[], panels: number): Float32Array {
  const rows = groups[0]!.rows
  const blocks = Math.ceil(rows / BLOCK)
  return filled(blocks * groups.length * panels * PANEL_FLOATS, (out) => {
    out.fill(Number.NaN)
    for (let r = 0; r < rows; r++) {
      groups.forEach(({ columns, values }, g) => {
        for (let c = 0; c < panels * 8; c++) {
          const panel = (Math.floor(r / BLOCK) * groups.length + g) * panels + (c >> 3)
          out[panel * PANEL_FLOATS + (r % BLOCK) * 8 + (c & 7)] = c < columns ? values[r * columns + c]! : 0
        }
      })
    }
  })
}

/** Weights, or values of the same shape, as [group][neuron panel][8·panels][8], zero beyond inputs and neurons. */
export function columnPanels(groups: readonly Matrix[], panels: number): Float32Array {
  const perGroup = panelsOf(groups[0]!.columns)
  return filled(groups.length * perGroup * panels * 64, (out) => {
    groups.forEach(({ rows, columns, values }, g) => {
      for (let t = 0; t < rows; t++) {
        for (let k = 0; k < columns; k++) {
          out[columnIndex(g, t, k, perGroup, panels)] = values[t * columns + k]!
        }
      }
    })
  })
}

/** Index of input t of neuron k in [group][neuron panel][8·panels][8]. */
export const columnIndex = (g: number, t: number, k: number, perGroup: number, panels: number): number =>
  ((g * perGroup + (k >> 3)) * panels * 8 + t) * 8 + (k & 7)

/** Floats of one group's Gram matrix. */
export const matrixLength = (panels: number, triangular: boolean): number =>
  triangular ? panels * (panels + 1) * 32 : panels * panels * 64

/** Index of C[i, s] in a group's Gram matrix. */
export function gramIndex(i: number, s: number, panels: number, triangular: boolean): number {
  const panel = i >> 3
  return (triangular ? panel * (panel + 1) * 32 : panel * panels * 64) + s * 8 + (i & 7)
}

/** Square matrices (n, n) in the layout of gram.ts, zero beyond n. */
export function gramPanels(groups: readonly Matrix[], panels: number, triangular: boolean): Float32Array {
  const length = matrixLength(panels, triangular)
  return filled(groups.length * length, (out) => {
    groups.forEach(({ rows, values }, g) => {
      for (let i = 0; i < rows; i++) {
        const last = triangular ? Math.min(rows, 8 * (i >> 3) + 8) : rows
        for (let s = 0; s < last; s++)
          out[g * length + gramIndex(i, s, panels, triangular)] = values[i * rows + s]!
      }
    })
  })
}

/**
 * Scales and zero points as [group][candidate][neuron panel][scale block][8], 1 beyond the neurons.
 * @param value of (group, candidate, block, neuron)
 */
export function scalePanels(
  shape: { groups: number; candidates: number; blocks: number; neurons: number },
  value: (group: number, candidate: number, block: number, neuron: number) => number,
): Float32Array {
  const { groups, candidates, blocks, neurons } = shape
  const perGroup = panelsOf(neurons)
  return filled(groups * candidates * perGroup * blocks * 8, (out) => {
    out.fill(1)
    for (let g = 0; g < groups; g++) {
      for (let c = 0; c < candidates; c++) {
        for (let b = 0; b < blocks; b++) {
          for (let k = 0; k < neurons; k++) {
            const panel = (g * candidates + c) * perGroup + (k >> 3)
            out[(panel * blocks + b) * 8 + (k & 7)] = value(g, c, b, k)
          }
        }
      }
    }
  })
}
