/**
 * The vertex walk (Maly & Saab, 2209.03487). It moves the weights w of one neuron without changing Xw, until all but at
 * most rank X of them are at ±c, c = ‖w‖∞. Only the few weights in between are left to round.
 *
 * Computed like the simplex method with bounds. The state is a basis of columns of X, at first the unit vectors (whose
 * weights must stay zero), and the inverse of the basis. The inputs enter one after another. With a = B⁻¹X_j, a change
 * of w_j by τ and of the basic weights by −aτ leaves Xw as it is. If a has a nonzero entry at a unit vector, j replaces
 * that unit vector in the basis, and no weight moves. Otherwise w_j moves towards the bound of its own sign until it or
 * a basic weight reaches its bound; a basic weight that does is replaced by j in the basis. Each input enters once: N
 * steps of 2m² multiply-adds in float64.
 *
 * Where the alphabet includes zero (`top` is even), weights that are zero stay out of the walk: rounding costs nothing
 * for them either.
 *
 * Pivots smaller than 10⁻⁹ of the largest entry of the column count as zero; the first of equals leaves. No result
 * depends on threads, because a neuron is one item.
 */
import { BLOCK } from './gram'
import { PANEL, ROW } from './tile'

/** Pivots below this share of the largest entry of the column count as zero. */
const TINY: f64 = 1e-9

/**
 * Moves the weights of each neuron. Items: (group, neuron).
 * @param x panels [sample block][group][panel][256][8] of Xq, all samples
 * @param weights [group][neuron panel][8·panels][8], moved in place
 * @param scratch [worker]: float64 inverse (m, even), x(even), a(even), z(inputs); int32 basis(even), −1 for a unit
 *   vector; `even` is m rounded up to an even number
 */
export function vertexWalk(
  x: usize, weights: usize, scratch: usize, rows: i32, inputs: i32, panels: i32, neurons: i32, neuronPanels: i32, groups: i32,
  top: f32,
  begin: i32, end: i32, worker: i32,
): void {
  const even = (rows + 1) & ~1
  const rowBytes = <usize>even << 3
  const inverse = scratch + <usize>worker * vertexBytes(rows, inputs)
  const column = inverse + <usize>rows * rowBytes
  const a = column + rowBytes
  const z = a + rowBytes
  const basis = z + (<usize>((inputs + 1) & ~1) << 3)
  for (let item = begin; item < end; item++) {
    const group = item / neurons
    const neuron = item % neurons
    const own = weights + (<usize>((group * neuronPanels + (neuron >> 3)) * panels) << 8) + (<usize>(neuron & 7) << 2)
    let c: f64 = 0
    for (let j = 0; j < inputs; j++) {
      const v = <f64>load<f32>(own + (<usize>j << 5))
      store<f64>(z + (<usize>j << 3), v)
      c = max(c, abs(v))
    }
    memory.fill(inverse, 0, <usize>rows * rowBytes)
    for (let i = 0; i < rows; i++) {
      store<f64>(inverse + <usize>i * rowBytes + (<usize>i << 3), 1)
      store<i32>(basis + (<usize>i << 2), -1)
    }
    for (let j = 0; j < inputs; j++) {
      const v = load<f64>(z + (<usize>j << 3))
      if (abs(v) >= c || (v == 0 && !(<i32>top & 1))) continue
      const size = gather(x, column, rows, even, panels, groups, group, j)
      multiplyInverse(inverse, column, a, rows, even)
      enter(inverse, a, z, basis, rows, even, j, c, TINY * size)
    }
    for (let j = 0; j < inputs; j++) store<f32>(own + (<usize>j << 5), <f32>load<f64>(z + (<usize>j << 3)))
  }
}

/** Bytes of one worker's scratch. */
@inline
function vertexBytes(rows: i32, inputs: i32): usize {
  const even = <usize>((rows + 1) & ~1)
  return ((<usize>rows + 2) * even + <usize>((inputs + 1) & ~1)) * 8 + ((even * 4 + 15) & ~15)
}

/** Writes column j of the samples in float64; returns its largest magnitude. */
function gather(x: usize, column: usize, rows: i32, even: i32, panels: i32, groups: i32, group: i32, j: i32): f64 {
  let size: f64 = 0
  store<f64>(column + (<usize>(even - 1) << 3), 0)
  for (let r = 0; r < rows; r++) {
    const panel = ((r / BLOCK) * groups + group) * panels + (j >> 3)
    const v = <f64>load<f32>(x + <usize>panel * PANEL + <usize>(r % BLOCK) * ROW + (<usize>(j & 7) << 2))
    store<f64>(column + (<usize>r << 3), v)
    size = max(size, abs(v))
  }
  return size
}

/** a(rows) = inverse(rows, even)·column(even), two terms of each sum at a time, as lanes. */
function multiplyInverse(inverse: usize, column: usize, a: usize, rows: i32, even: i32): void {
  const rowBytes = <usize>even << 3
  for (let i = 0; i < rows; i++) {
    const row = inverse + <usize>i * rowBytes
    let sum_f64x2 = f64x2.splat(0)
    for (let k: usize = 0; k < rowBytes; k += 16) {
      sum_f64x2 = f64x2.add(sum_f64x2, f64x2.mul(v128.load(row + k), v128.load(column + k)))
    }
    store<f64>(a + (<usize>i << 3), f64x2.extract_lane(sum_f64x2, 0) + f64x2.extract_lane(sum_f64x2, 1))
  }
}

/** Input j enters, as the head of this file describes. */
function enter(
  inverse: usize, a: usize, z: usize, basis: usize, rows: i32, even: i32, j: i32, c: f64, tiny: f64,
): void {
  let unit = -1
  let largest = tiny
  for (let i = 0; i < rows; i++) {
    const size = abs(load<f64>(a + (<usize>i << 3)))
    if (load<i32>(basis + (<usize>i << 2)) < 0 && size > largest) {
      unit = i
      largest = size
    }
  }
  if (unit >= 0) {
    pivot(inverse, a, basis, rows, even, unit, j)
    return
  }
  const v = load<f64>(z + (<usize>j << 3))
  const sign: f64 = v < 0 ? -1 : 1
  let least = c - sign * v
  let leaving = -1
  for (let i = 0; i < rows; i++) {
    const basic = load<i32>(basis + (<usize>i << 2))
    const rate = -sign * load<f64>(a + (<usize>i << 3))
    if (basic < 0 || abs(rate) <= tiny) continue
    const value = load<f64>(z + (<usize>basic << 3))
    const distance = (rate > 0 ? c - value : c + value) / abs(rate)
    if (distance < least) {
      least = distance
      leaving = i
    }
  }
  least = max(least, 0)
  for (let i = 0; i < rows; i++) {
    const basic = load<i32>(basis + (<usize>i << 2))
    if (basic < 0) continue
    const at = z + (<usize>basic << 3)
    store<f64>(at, load<f64>(at) - sign * load<f64>(a + (<usize>i << 3)) * least)
  }
  if (leaving < 0) {
    store<f64>(z + (<usize>j << 3), sign * c)
    return
  }
  store<f64>(z + (<usize>j << 3), v + sign * least)
  const gone = load<i32>(basis + (<usize>leaving << 2))
  store<f64>(z + (<usize>gone << 3), -sign * load<f64>(a + (<usize>leaving << 3)) > 0 ? c : -c)
  pivot(inverse, a, basis, rows, even, leaving, j)
}

/** Puts input j at place i of the basis, and updates the inverse. */
function pivot(inverse: usize, a: usize, basis: usize, rows: i32, even: i32, i: i32, j: i32): void {
  const rowBytes = <usize>even << 3
  const row = inverse + <usize>i * rowBytes
  const p_f64x2 = f64x2.splat(1 / load<f64>(a + (<usize>i << 3)))
  for (let k: usize = 0; k < rowBytes; k += 16) v128.store(row + k, f64x2.mul(v128.load(row + k), p_f64x2))
  for (let other = 0; other < rows; other++) {
    const factor = load<f64>(a + (<usize>other << 3))
    if (other == i || factor == 0) continue
    const f_f64x2 = f64x2.splat(factor)
    const to = inverse + <usize>other * rowBytes
    for (let k: usize = 0; k < rowBytes; k += 16) {
      v128.store(to + k, f64x2.sub(v128.load(to + k), f64x2.mul(f_f64x2, v128.load(row + k))))
    }
  }
  store<i32>(basis + (<usize>i << 2), j)
}
