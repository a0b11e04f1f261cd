/**
 * The typed kernel table: one function for each kernel, which turns named arguments into a task. Only this file and
 * methodKernels.ts know the order of the arguments of the kernels in assembly/.
 */
import type { Task } from '../engine/job.js'
import type { Pointer } from './arena.js'

/** Samples in a block (assembly/gram.ts). */
export const BLOCK = 256
/** Inputs or neurons in a panel (assembly/tile.ts). */
export const PANEL = 8

/** Bytes from one panel of a sample block to the next (assembly/tile.ts). */
export const PANEL_BYTES = BLOCK * 32 + 64

/** Panels of so many inputs or neurons; the last one can be padded. */
export const panelsOf = (columns: number): number => Math.ceil(columns / PANEL)

/** Bytes of one group's Gram matrix (panelAt in assembly/gram.ts). */
export const matrixBytes = (panels: number, triangular: boolean): number =>
  triangular ? panels * (panels + 1) * 128 : panels * panels * 256

/** Index of the entry (i, 0) among a group's floats. The entry (i, s) is 8s floats further. */
export const rowAt = (i: number, panels: number, triangular: boolean): number =>
  (triangular ? (i >> 3) * ((i >> 3) + 1) * 32 : (i >> 3) * panels * 64) + (i & 7)

/**
 * Fewest tiles of a task that has as many items, so that 16 threads have two each. Items are merged into tiles only where
 * there are more: a thread needs a tenth of a microsecond to take a tile.
 */
const LEAST_TILES = 32

/** Most items of a tile such that there are at least LEAST_TILES tiles. */
const mostItems = (items: number): number => Math.max(1, Math.floor(items / LEAST_TILES))

/** A task of one kernel, for the tables of this folder only. The step, in items, is rounded up, to at least 1. */
export const task = (kernel: string, args: (number | boolean)[], items: number, step: number): Task => ({
  kernel,
  args: args.map(Number),
  items,
  step: Math.max(1, Math.ceil(step)),
})

/** Copies rows of any strided float32 source into panels (assembly/pack.ts). Addresses and strides are in bytes. */
export function pack(a: {
  source: Pointer
  groupBytes: number
  rowAt: Pointer
  columnAt: Pointer
  contiguous: boolean
  rows: number
  columns: number
  groups: number
  panels: Pointer
  perGroup: number
  panelBytes: number
  toRow: number
}): Task {
  const block = (row: number): number => Math.floor(row / (a.panelBytes >> 8) / PANEL)
  const blocks = block(a.toRow + a.rows - 1) - block(a.toRow) + 1
  return task(
    'pack',
    [
      a.source,
      a.groupBytes,
      a.rowAt,
      a.columnAt,
      a.contiguous,
      a.rows,
      a.columns,
      a.groups,
      a.panels,
      a.perGroup,
      a.panelBytes,
      a.toRow,
    ],
    blocks * a.groups * a.perGroup,
    4,
  )
}

/** Copies planes (height, width) into zeroed planes (paddedHeight, paddedWidth) (assembly/pack.ts). Lengths in pixels. */
export function padPlanes(a: {
  source: Pointer
  target: Pointer
  planes: number
  height: number
  width: number
  paddedHeight: number
  paddedWidth: number
  top: number
  left: number
}): Task {
  const step = 16384 / (a.paddedHeight * a.paddedWidth)
  return task(
    'padPlanes',
    [a.source, a.target, a.height, a.width, a.paddedHeight, a.paddedWidth, a.top, a.left],
    a.planes,
    step,
  )
}

/** Most samples of a segment of integers: with 255² each, the sums in i32 stay below 2³¹ (assembly/gram.ts). */
export const MOST_INTEGER_ROWS = 33_025

/** Packs samples scale·k in panels as pairs of the integers k from −255 to 255, 512 samples a block (assembly/integers.ts). */
export function pairRows(a: {
  from: Pointer
  to: Pointer
  rows: number
  panels: number // of all groups
  scale: number
}): Task {
  const items = Math.ceil(a.rows / (2 * BLOCK)) * a.panels
  return task('pairRows', [a.from, a.to, a.rows, a.panels, 1 / a.scale], items, 4)
}

/** c += bᵀa over the samples in panels; at the end of a segment total += c and c = 0 (assembly/gram.ts). */
export function gram(a: {
  a: Pointer
  b: Pointer
  c: Pointer
  total: Pointer // 0 if the rows do not end a segment
  rows: number
  panels: number
  groups: number
  panelBytes?: number // default: panels of one block, blocks of all panels
  blockBytes?: number
  triangular: boolean // c stores its lower triangle only
  lower: boolean // sums the lower triangle of c only
  edge: number
  factor?: number // of integers: c is i32, total += factor·c
}): Task {
  const { panelBytes = PANEL_BYTES, blockBytes = a.panels * a.groups * PANEL_BYTES } = a
  const side = Math.ceil(a.panels / a.edge)
  const perGroup = a.lower ? (side * (side + 1)) / 2 : side * side
  const flops = a.rows * (Math.min(a.panels, a.edge) * PANEL) ** 2
  const items = a.groups * perGroup
  return task(
    'gram',
    [
      a.a,
      a.b,
      a.c,
      a.total,
      a.rows,
      a.panels,
      a.groups,
      panelBytes,
      blockBytes,
      a.triangular,
      a.lower,
      a.edge,
      a.factor ?? 0,
    ],
    items,
    Math.min(mostItems(items), Math.floor(2e6 / flops)),
  )
}

/** c += the samples of each input, float64; at the end of a segment total += c and c = 0 (assembly/means.ts). */
export function sumInputs(a: {
  a: Pointer
  c: Pointer
  total: Pointer // 0 if the rows do not end a segment
  rows: number
  panels: number // of all groups
  panelBytes?: number
  blockBytes?: number
}): Task {
  const { panelBytes = PANEL_BYTES, blockBytes = a.panels * PANEL_BYTES } = a
  return task('sumInputs', [a.a, a.c, a.total, a.rows, panelBytes, blockBytes], a.panels, 4)
}

/** Divides sample rows by the norm of the row of x (assembly/weigh.ts). */
export function weighRows(a: {
  x: Pointer
  xq: Pointer
  rows: number
  panels: number
  groups: number
}): Task {
  const items = Math.ceil(a.rows / BLOCK) * a.groups * 8
  return task('weighRows', [a.x, a.xq, a.rows, a.panels, a.groups], items, 64 / a.panels)
}

/** Copies the lower triangle of full symmetric matrices to the upper one (assembly/gram.ts). */
export function mirror(a: { matrix: Pointer; panels: number; groups: number }): Task {
  return task('mirror', [a.matrix, a.panels], a.groups * a.panels, 256 / a.panels)
}

/** matrix = sums over pixels − matrix, for a convolution (assembly/combine.ts). */
export function combine(a: {
  at: Pointer
  pixels: Pointer
  inputs: number
  groups: number
  triangular: boolean
  symmetric: boolean
  channelPanels: number
  shiftBytes: number
  kernel: readonly [number, number]
}): Task {
  const panels = panelsOf(a.inputs)
  return task(
    'combine',
    [a.at, a.pixels, a.inputs, panels, a.triangular, a.symmetric, a.channelPanels, a.shiftBytes, ...a.kernel],
    a.groups * panels,
    256 / panels,
  )
}

/** r = tril(G)·W and, unless s is 0, s = triu(G, 1)·W (assembly/project.ts). */
export function project(a: {
  g: Pointer
  weights: Pointer
  r: Pointer
  s: Pointer
  panels: number
  triangular: boolean
  neuronPanels: number
  groups: number
}): Task {
  const items = a.groups * Math.ceil(a.panels / 8) * a.neuronPanels
  return task(
    'project',
    [a.g, a.weights, a.r, a.s, a.panels, a.triangular, a.neuronPanels],
    items,
    Math.min(mostItems(items), 8, Math.floor(a.neuronPanels / 4), Math.floor(64 / a.panels)),
  )
}

/** The arguments of all kernels that go through the inputs one after another, for several candidate scales. */
export interface Path {
  h: Pointer
  r: Pointer
  scales: Pointer
  zeros: Pointer
  codes: Pointer
  scratch: Pointer
  inputs: number
  panels: number
  neuronPanels: number
  groups: number
  candidates: number
  scaleBlocks: number
  scaleBlockSize: number
  top: number
}

/** Codes of the path, or of rounding, and errors of all candidates; an address of 0 leaves one out (assembly/substitute.ts). */
export function substitute(
  a: Path & {
    g: Pointer
    weights: Pointer
    s: Pointer
    errors: Pointer
    triangular: boolean
    follow: boolean
    strip: number
  },
): Task {
  return task(
    'substitute',
    [
      a.h,
      a.g,
      a.weights,
      a.r,
      a.s,
      a.scales,
      a.zeros,
      a.codes,
      a.errors,
      a.scratch,
      a.inputs,
      a.panels,
      a.triangular,
      a.neuronPanels,
      a.candidates,
      a.scaleBlocks,
      a.scaleBlockSize,
      a.top,
      a.follow,
      a.strip,
    ],
    a.groups * a.candidates * a.neuronPanels,
    a.strip,
  )
}

/** Bytes of scratch that a worker needs for `substitute`: the columns of a strip, and at least the three of a fork. */
export const substituteScratch = (panels: number, strip: number): number =>
  Math.max(3, strip) * (panels + 33) * 256

/** The arguments of kernels that map weights to codes or codes to values. */
interface Alphabets {
  scales: Pointer
  zeros: Pointer
  codes: Pointer
  inputs: number
  panels: number
  columns: number // groups · neuron panels
  scaleBlocks: number
  scaleBlockSize: number
}

/** Codes of the values nearest to the weights (assembly/alphabet.ts). */
export function round(a: Alphabets & { weights: Pointer; top: number }): Task {
  return task(
    'round',
    [
      a.weights,
      a.scales,
      a.zeros,
      a.codes,
      a.inputs,
      a.panels * PANEL,
      a.scaleBlocks,
      a.scaleBlockSize,
      a.top,
    ],
    a.columns,
    4,
  )
}

/** Writes −Q, the negated values of codes (assembly/alphabet.ts). */
export function dequantize(a: Alphabets & { negated: Pointer }): Task {
  return task(
    'dequantize',
    [a.codes, a.scales, a.zeros, a.negated, a.inputs, a.panels * PANEL, a.scaleBlocks, a.scaleBlockSize],
    a.columns,
    4,
  )
}

/** Bytes of scratch of a worker for both kernels of assembly/error.ts. */
export const ERROR_SCRATCH = 640

interface ErrorOperands {
  x: Pointer
  xq: Pointer
  w: Pointer
  n: Pointer
  out: Pointer
  scratch: Pointer
  rows: number
  panels: number
  groups: number
  neuronPanels: number
  neurons: number
}

const operands = (a: ErrorOperands): number[] => [
  ...[a.x, a.xq, a.w, a.n, a.out, a.scratch, a.rows, a.panels, a.groups, a.neuronPanels],
]

/** Adds Σ (XW)² and Σ (XW − XqQ)² of each neuron to `out`, from w = W and n = −Q (assembly/error.ts). */
export function outputError(a: ErrorOperands): Task {
  const cells = Math.ceil(a.rows / BLOCK) * a.groups
  // Neuron panels of an item: all of them, or fewer where few blocks would leave threads without work.
  const share = Math.ceil(a.neuronPanels / Math.min(a.neuronPanels, Math.ceil(LEAST_TILES / cells)))
  return task('outputError', [...operands(a), share], cells * Math.ceil(a.neuronPanels / share), 1)
}

/** Adds up ‖e‖/‖y‖ of each row, at most 1, to `out`, and the rows that count (assembly/error.ts). */
export const rowErrors = (a: ErrorOperands): Task =>
  task('rowErrors', [...operands(a), a.neurons], Math.ceil(a.rows / 32), 1)
