/**
 * Gathers any strided source into panels of 8 columns, [block][group][panel][rows][8]; columns beyond the last are
 * zero. The element (row, column) of group g lies at source + g·groupBytes + rowAt[row] + columnAt[column], in bytes.
 * For a dense matrix columnAt = 4·column; for the patches of a convolution columnAt has the offsets of its taps. So the
 * m × N matrix of patches exists nowhere but in the panels.
 *
 * Data is moved without arithmetic.
 */
import { ROW } from './tile'

/**
 * Copies rows [0, rows) of the source to rows [toRow, toRow + rows) of the panels.
 * Items: (block − ⌊toRow / rows of a block⌋, group, panel); the panel varies fastest.
 * @param rowAt u32 (rows) byte offsets
 * @param columnAt u32 (columns) byte offsets
 * @param contiguous 1 if columnAt[c] = columnAt[0] + 4c
 * @param panelBytes from one panel to the next; a block has as many rows as fit, a multiple of 8
 * @param perGroup panels of one group in the target; panels beyond the columns are zeroed
 */
export function pack(
  source: usize, groupBytes: usize, rowAt: usize, columnAt: usize, contiguous: i32,
  rows: i32, columns: i32, groups: i32,
  panels: usize, perGroup: i32, panelBytes: usize, toRow: i32,
  begin: i32, end: i32,
): void {
  const perBlock = perGroup * groups
  const blockRows = <i32>(panelBytes >> 8) << 3
  const firstBlock = toRow / blockRows
  for (let item = begin; item < end; item++) {
    const block = firstBlock + item / perBlock
    const group = (item % perBlock) / perGroup
    const panel = item % perGroup
    const low = max(toRow, block * blockRows)
    const high = min(toRow + rows, (block + 1) * blockRows)
    let to = panels + (<usize>(block * perBlock + group * perGroup + panel)) * panelBytes + <usize>(low - block * blockRows) * ROW
    const from = source + <usize>group * groupBytes
    const at = rowAt + (<usize>(low - toRow) << 2)
    const count = min(8, columns - (panel << 3))
    const taps = columnAt + (<usize>panel << 5)
    if (count < 8) packEdge(from, at, taps, high - low, count, to)
    else if (contiguous) packContiguous(from + <usize>load<u32>(taps), at, high - low, to)
    else packTaps(from, at, taps, high - low, to)
  }
}

/** 8 columns that lie next to each other. */
function packContiguous(from: usize, at: usize, rows: i32, to: usize): void {
  const end = to + <usize>rows * ROW
  while (to < end) {
    const row = from + <usize>load<u32>(at)
    v128.store(to, v128.load(row))
    v128.store(to, v128.load(row, 16), 16)
    to += ROW
    at += 4
  }
}

/** 8 columns with an offset each. */
function packTaps(from: usize, at: usize, taps: usize, rows: i32, to: usize): void {
  const t0 = from + <usize>load<u32>(taps), t1 = from + <usize>load<u32>(taps, 4)
  const t2 = from + <usize>load<u32>(taps, 8), t3 = from + <usize>load<u32>(taps, 12)
  const t4 = from + <usize>load<u32>(taps, 16), t5 = from + <usize>load<u32>(taps, 20)
  const t6 = from + <usize>load<u32>(taps, 24), t7 = from + <usize>load<u32>(taps, 28)
  const end = to + <usize>rows * ROW
  while (to < end) {
    const row = <usize>load<u32>(at)
    store<f32>(to, load<f32>(t0 + row))
    store<f32>(to, load<f32>(t1 + row), 4)
    store<f32>(to, load<f32>(t2 + row), 8)
    store<f32>(to, load<f32>(t3 + row), 12)
    store<f32>(to, load<f32>(t4 + row), 16)
    store<f32>(to, load<f32>(t5 + row), 20)
    store<f32>(to, load<f32>(t6 + row), 24)
    store<f32>(to, load<f32>(t7 + row), 28)
    to += ROW
    at += 4
  }
}

/** The last panel, with `count` < 8 columns. */
function packEdge(from: usize, at: usize, taps: usize, rows: i32, count: i32, to: usize): void {
  for (let r = 0; r < rows; r++) {
    const row = from + <usize>load<u32>(at)
    v128.store(to, f32x4.splat(0))
    v128.store(to, f32x4.splat(0), 16)
    for (let c = 0; c < count; c++) {
      store<f32>(to + (<usize>c << 2), load<f32>(row + <usize>load<u32>(taps + (<usize>c << 2))))
    }
    to += ROW
    at += 4
  }
}

/**
 * Copies planes (height, width) into zeroed planes (paddedHeight, paddedWidth), at row `top` and column `left`, so that
 * taps outside the image read zeros without a bounds test. Items: planes.
 */
export function padPlanes(
  source: usize, target: usize, height: i32, width: i32, paddedHeight: i32, paddedWidth: i32,
  top: i32, left: i32, begin: i32, end: i32,
): void {
  const planeBytes = (<usize>(height * width)) << 2
  const paddedBytes = (<usize>(paddedHeight * paddedWidth)) << 2
  const rowBytes = <usize>width << 2
  const paddedRowBytes = <usize>paddedWidth << 2
  for (let plane = begin; plane < end; plane++) {
    let from = source + <usize>plane * planeBytes
    let to = target + <usize>plane * paddedBytes
    memory.fill(to, 0, paddedBytes)
    to += <usize>top * paddedRowBytes + (<usize>left << 2)
    for (let y = 0; y < height; y++) {
      let x: usize = 0
      for (; x + 16 <= rowBytes; x += 16) v128.store(to + x, v128.load(from + x))
      for (; x < rowBytes; x += 4) store<f32>(to + x, load<f32>(from + x))
      from += rowBytes
      to += paddedRowBytes
    }
  }
}
