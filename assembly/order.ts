/**
 * Gram matrices in another order of the inputs, transposed, and subtracted: needed by activation order, Beacon and
 * Qronos. Data is moved without arithmetic, except for one subtraction an element.
 */
import { matrixBytes, panelAt } from './gram'
import { ROW } from './tile'

/**
 * to[i, s] = from[order[i], order[s]] of full matrices. Items: (group, panel i).
 * @param order u32 [group][8·panels]; entries of the padding map to themselves
 */
export function permute(from: usize, to: usize, order: usize, panels: i32, begin: i32, end: i32): void {
  const groupBytes = matrixBytes(panels, 0)
  const columns = panels << 3
  for (let item = begin; item < end; item++) {
    const group = item / panels
    const at = order + (<usize>(group * columns) << 2)
    const source = from + <usize>group * groupBytes
    const panel = item % panels
    let out = to + <usize>group * groupBytes + panelAt(panel, panels, 0)
    const rows = at + (<usize>panel << 5)
    for (let s = 0; s < columns; s++) {
      const column = source + <usize>load<u32>(at + (<usize>s << 2)) * ROW
      for (let k: usize = 0; k < 32; k += 4) {
        const i = load<u32>(rows + k)
        store<f32>(out + k, load<f32>(column + panelAt(i >> 3, panels, 0) + (<usize>(i & 7) << 2)))
      }
      out += ROW
    }
  }
}

/** to = fromᵀ of full matrices. Items: (group, panel i). */
export function transpose(from: usize, to: usize, panels: i32, begin: i32, end: i32): void {
  const groupBytes = matrixBytes(panels, 0)
  for (let item = begin; item < end; item++) {
    const source = from + <usize>(item / panels) * groupBytes
    const panel = item % panels
    let out = to + <usize>(item / panels) * groupBytes + panelAt(panel, panels, 0)
    for (let s = 0; s < panels << 3; s++) {
      // Elements (s, i) of 8 columns i, which lie 32 bytes apart.
      const column = source + panelAt(s >> 3, panels, 0) + (<usize>panel << 8) + (<usize>(s & 7) << 2)
      for (let k: usize = 0; k < 8; k++) store<f32>(out + (k << 2), load<f32>(column + k * ROW))
      out += ROW
    }
  }
}

/** c = a − b, float32. Items: runs of 64 floats. */
export function subtract(a: usize, b: usize, c: usize, begin: i32, end: i32): void {
  const high = <usize>end << 8
  for (let k = <usize>begin << 8; k < high; k += 16) {
    v128.store(c + k, f32x4.sub(v128.load(a + k), v128.load(b + k)))
  }
}
