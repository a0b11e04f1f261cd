/**
 * H and G of all patches of a convolution from two sums: those over all pixels, which count every position where a patch
 * meets the image, less those of the ring of positions that are no output (src/methods/correlations.ts has the mathematics).
 */
import { matrixBytes, panelAt } from './gram'
import { ROW } from './tile'

/**
 * matrix = sums over all pixels − matrix. Items: (group, row panel).
 * @param matrix sums of the ring's patches, [group][row panel][column][8 rows]
 * @param pixels [shift][group][panel of channels][channel][8 channels]; if `symmetric`, from the middle shift on
 * @param triangular whether the matrix keeps its lower triangle only
 * @param symmetric whether the lower triangle is combined, from sums of which half of the shifts are there
 * @param channelPanels panels of channels of a group
 * @param shiftBytes from the sums of one shift to those of the next
 */
export function combine(
  matrix: usize,
  pixels: usize,
  inputs: i32,
  panels: i32,
  triangular: i32,
  symmetric: i32,
  channelPanels: i32,
  shiftBytes: usize,
  height: i32,
  width: i32,
  begin: i32,
  end: i32,
): void {
  const taps = height * width
  const middle = (height - 1) * (2 * width - 1) + width - 1
  for (let item = begin; item < end; item++) {
    const panel = item % panels
    const group = <usize>(item / panels)
    const rows = matrix + group * matrixBytes(panels, triangular) + panelAt(panel, panels, triangular)
    const sums = pixels + group * matrixBytes(channelPanels, 0)
    const columns = symmetric | triangular ? min(inputs, (panel + 1) << 3) : inputs
    const last = min(inputs, (panel + 1) << 3)
    for (let i = panel << 3; i < last; i++) {
      const c = i / taps
      const tap = i % taps
      const row = rows + (<usize>(i & 7) << 2)
      for (let other = 0; other < taps; other++) {
        const down = tap / width - other / width
        const across = (tap % width) - (other % width)
        let shift = down * (2 * width - 1) + across
        const turned = symmetric & i32(shift < 0)
        shift = symmetric ? abs(shift) : middle + shift
        const from = sums + <usize>shift * shiftBytes
        for (let d = 0, s = other; s < columns; d++, s += taps) {
          const sum = turned ? entry(from, d, c, channelPanels) : entry(from, c, d, channelPanels)
          const to = row + <usize>s * ROW
          store<f32>(to, load<f32>(sum) - load<f32>(to))
        }
      }
    }
  }
}

/** Where the sum of the channels (c, d) is. */
@inline
function entry(sums: usize, c: i32, d: i32, panels: i32): usize {
  return sums + panelAt(c >> 3, panels, 0) + <usize>d * ROW + (<usize>(c & 7) << 2)
}
