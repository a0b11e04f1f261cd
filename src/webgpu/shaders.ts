/**
 * Observing on the GPU, as WGSL: zero-padding, the gather of samples into rows, and C += BᵀA.
 *
 * Numerics: float32. An element is summed by one thread in the order of assembly/gram.ts: blocks of 256 rows, each from zero and in
 * order, added to the sum of the segment in order. WGSL lets a compiler contract a·b + c into one rounding; where it does not, the
 * bits are those of wasm. The bound is the same either way (assembly/tile.ts).
 *
 *   rows      (capacity, groups·inputs)
 *   C         in panels, triangular or whole, as assembly/gram.ts has them
 */

/** Threads of a workgroup of `pad`, `gather` and `move`, which take as many elements as there are. */
export const THREADS = 64

/** A side of a tile of C, and rows that a workgroup reads at once. */
export const TILE = 16

const EACH = `@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u`
const each = (count: string): string => `var i = id.x; i < ${count}; i += groups.x * ${THREADS}u`

/** Planes with a border of zeros. p: (planes·paddedHeight·paddedWidth, height, width, paddedHeight, paddedWidth, top, left) */
export const PAD = `
struct P { count: u32, height: u32, width: u32, padded_height: u32, padded_width: u32, top: u32, left: u32 }
@group(0) @binding(0) var<uniform> p: P;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> padded: array<f32>;
@compute @workgroup_size(${THREADS}) fn main(${EACH}) {
  for (${each('p.count')}) {
    let column = i % p.padded_width - p.left; // wraps around left of the plane, so that one comparison is enough
    let row = i / p.padded_width % p.padded_height - p.top;
    let plane = i / (p.padded_width * p.padded_height);
    if (row < p.height && column < p.width) { padded[i] = x[(plane * p.height + row) * p.width + column]; }
    else { padded[i] = 0.0; }
  }
}`

/** rows[first + r][g·inputs + t] = x at g·groupBytes + rowAt[from + r] + columnAt[t] */
export const GATHER = `
struct P { rows: u32, inputs: u32, columns: u32, group_bytes: u32, first: u32, start: u32 }
@group(0) @binding(0) var<uniform> p: P;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> row_at: array<u32>;
@group(0) @binding(3) var<storage, read> column_at: array<u32>;
@group(0) @binding(4) var<storage, read_write> rows: array<f32>;
@compute @workgroup_size(${THREADS}) fn main(${EACH}) {
  for (${each('p.rows * p.columns')}) {
    let r = i / p.columns;
    let c = i % p.columns;
    let at = c / p.inputs * p.group_bytes + row_at[p.start + r] + column_at[c % p.inputs];
    rows[(p.first + r) * p.columns + c] = x[at / 4u];
  }
}`

/** C(i, s) += Σ_r b[r][i]·a[r][s], in blocks of 256 rows. Workgroups: (tile s, tile i, group). */
export const GRAM = `
struct P { rows: u32, inputs: u32, columns: u32, panels: u32, offset: u32, triangular: u32 }
@group(0) @binding(0) var<uniform> p: P;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read_write> c: array<f32>;
var<workgroup> a_tile: array<array<f32, ${TILE}>, ${TILE}>;
var<workgroup> b_tile: array<array<f32, ${TILE}>, ${TILE}>;
@compute @workgroup_size(${TILE}, ${TILE})
fn main(@builtin(workgroup_id) tile: vec3u, @builtin(local_invocation_id) at: vec3u) {
  if (p.triangular != 0u && tile.x > tile.y) { return; }
  let i = tile.y * ${TILE}u + at.y;
  let s = tile.x * ${TILE}u + at.x;
  let own_i = tile.y * ${TILE}u + at.x; // the column of b that this thread loads
  let panel = i / 8u;
  var place = p.offset + i % 8u + 8u * s;
  if (p.triangular != 0u) { place += tile.z * p.panels * (p.panels + 1u) * 32u + panel * (panel + 1u) * 32u; }
  else { place += tile.z * p.panels * p.panels * 64u + panel * p.panels * 64u; }
  let kept = i < p.inputs && s < p.inputs && (p.triangular == 0u || s < 8u * (panel + 1u));
  let column = tile.z * p.inputs;
  var total = 0.0;
  if (kept) { total = c[place]; }
  for (var block = 0u; block < p.rows; block += 256u) {
    let end = min(p.rows, block + 256u);
    var sum = 0.0;
    for (var r = block; r < end; r += ${TILE}u) {
      let row = (r + at.y) * p.columns + column;
      var from_a = 0.0;
      var from_b = 0.0;
      if (r + at.y < end && s < p.inputs) { from_a = a[row + s]; }
      if (r + at.y < end && own_i < p.inputs) { from_b = b[row + own_i]; }
      a_tile[at.y][at.x] = from_a;
      b_tile[at.y][at.x] = from_b;
      workgroupBarrier();
      let count = min(${TILE}u, end - r);
      for (var k = 0u; k < count; k++) { sum += a_tile[k][at.x] * b_tile[k][at.y]; }
      workgroupBarrier();
    }
    total += sum;
  }
  if (kept) { c[place] = total; }
}`

/** total += segment, segment = 0 */
export const MOVE = `
@group(0) @binding(0) var<uniform> count: u32;
@group(0) @binding(1) var<storage, read_write> segment: array<f32>;
@group(0) @binding(2) var<storage, read_write> total: array<f32>;
@compute @workgroup_size(${THREADS}) fn main(${EACH}) {
  for (${each('count')}) {
    total[i] += segment[i];
    segment[i] = 0.0;
  }
}`
