/**
 * The typed kernel table: one function a kernel that turns named arguments into a task. The order of arguments is the
 * one in assembly/, and is written down nowhere else.
 */
import type { Task } from '../engine/job.js'
import type { Pointer } from './arena.js'

/** Samples in a block, inputs or neurons in a panel: see assembly/gram.ts and assembly/tile.ts. */
export const BLOCK = 256
export const PANEL = 8

export const panelsOf = (columns: number): number => Math.ceil(columns / PANEL)

/** Bytes of one group's Gram matrix, see panelAt in assembly/gram.ts. */
export const matrixBytes = (panels: number, triangular: boolean): number =>
  triangular ? panels * (panels + 1) * 128 : panels * panels * 256

const task = (kernel: string, args: number[], items: number, step: number, scratch = false): Task => ({
  kernel,
  args,
  items,
  step,
  scratch,
})

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
  blockRows: number
  toRow: number
}): Task {
  const blocks = Math.floor((a.toRow + a.rows - 1) / a.blockRows) - Math.floor(a.toRow / a.blockRows) + 1
  return task(
    'pack',
    [
      a.source,
      a.groupBytes,
      a.rowAt,
      a.columnAt,
      Number(a.contiguous),
      a.rows,
      a.columns,
      a.groups,
      a.panels,
      a.perGroup,
      a.blockRows,
      a.toRow,
    ],
    blocks * a.groups * a.perGroup,
    4,
  )
}

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
  const step = Math.max(1, Math.ceil(16384 / (a.paddedHeight * a.paddedWidth)))
  return task(
    'padPlanes',
    [a.source, a.target, a.height, a.width, a.paddedHeight, a.paddedWidth, a.top, a.left],
    a.planes,
    step,
  )
}

export function gram(a: {
  a: Pointer
  b: Pointer
  c: Pointer
  rows: number
  panels: number
  groups: number
  triangular: boolean // how c is laid out
  lower: boolean // what of c is summed
  edge: number
}): Task {
  const side = Math.ceil(a.panels / a.edge)
  const perGroup = a.lower ? (side * (side + 1)) / 2 : side * side
  const flops = a.rows * (Math.min(a.panels, a.edge) * PANEL) ** 2
  return task(
    'gram',
    [a.a, a.b, a.c, a.rows, a.panels, a.groups, Number(a.triangular), Number(a.lower), a.edge],
    a.groups * perGroup,
    Math.max(1, Math.floor(2e6 / flops)),
  )
}

export function mirror(a: { matrix: Pointer; panels: number; groups: number }): Task {
  return task('mirror', [a.matrix, a.panels], a.groups * a.panels, Math.max(1, Math.ceil(256 / a.panels)))
}

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
  return task(
    'project',
    [a.g, a.weights, a.r, a.s, a.panels, Number(a.triangular), a.neuronPanels],
    a.groups * Math.ceil(a.panels / 8) * a.neuronPanels,
    Math.max(1, Math.min(8, Math.floor(a.neuronPanels / 4)), Math.floor(64 / a.panels)),
  )
}

export function substitute(a: {
  h: Pointer
  weights: Pointer
  r: Pointer
  s: Pointer
  scales: Pointer
  zeros: Pointer
  codes: Pointer
  errors: Pointer
  scratch: Pointer
  inputs: number
  panels: number
  triangular: boolean
  neuronPanels: number
  groups: number
  candidates: number
  scaleBlocks: number
  scaleBlockSize: number
  top: number
  follow: boolean
  strip: number
}): Task {
  return task(
    'substitute',
    [
      a.h,
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
      Number(a.triangular),
      a.neuronPanels,
      a.candidates,
      a.scaleBlocks,
      a.scaleBlockSize,
      a.top,
      Number(a.follow),
      a.strip,
    ],
    a.groups * a.candidates * a.neuronPanels,
    a.strip,
    true,
  )
}

/** Bytes of scratch a worker needs for `substitute`. */
export const substituteScratch = (panels: number, strip: number): number => strip * (panels + 32) * 256

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

export function dequantize(a: Alphabets & { negated: Pointer }): Task {
  return task(
    'dequantize',
    [a.codes, a.scales, a.zeros, a.negated, a.inputs, a.panels * PANEL, a.scaleBlocks, a.scaleBlockSize],
    a.columns,
    4,
  )
}

export function advance(a: {
  x: Pointer
  xq: Pointer
  u: Pointer
  w: Pointer
  n: Pointer
  z: Pointer
  rows: number
  blocks: number
  edge: number
  groups: number
  neuronPanels: number
  before: number
  now: number
}): Task {
  return task(
    'advance',
    [a.x, a.xq, a.u, a.w, a.n, a.z, a.rows, a.blocks, a.edge, a.groups, a.neuronPanels, a.before, a.now],
    Math.ceil(a.rows / BLOCK) * a.groups,
    1,
  )
}

export function settle(a: {
  h: Pointer
  g: Pointer
  w: Pointer
  n: Pointer
  z: Pointer
  scales: Pointer
  zeros: Pointer
  codes: Pointer
  scratch: Pointer
  inputs: number
  sampleBlocks: number
  blocks: number
  edge: number
  groups: number
  neuronPanels: number
  scaleBlocks: number
  scaleBlockSize: number
  top: number
  same: boolean
  now: number
}): Task {
  return task(
    'settle',
    [
      a.h,
      a.g,
      a.w,
      a.n,
      a.z,
      a.scales,
      a.zeros,
      a.codes,
      a.scratch,
      a.inputs,
      a.sampleBlocks,
      a.blocks,
      a.edge,
      a.groups,
      a.neuronPanels,
      a.scaleBlocks,
      a.scaleBlockSize,
      a.top,
      Number(a.same),
      a.now,
    ],
    a.groups * a.neuronPanels,
    1,
    true,
  )
}

export function outputError(a: {
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
}): Task {
  return task(
    'outputError',
    [a.x, a.xq, a.w, a.n, a.out, a.scratch, a.rows, a.panels, a.groups, a.neuronPanels],
    Math.ceil(a.rows / BLOCK) * a.groups,
    1,
    true,
  )
}

export function descend(a: {
  h: Pointer // full
  r: Pointer
  s: Pointer
  scales: Pointer
  zeros: Pointer
  codes: Pointer
  errors: Pointer
  scratch: Pointer
  inputs: number
  panels: number
  neuronPanels: number
  groups: number
  candidates: number
  scaleBlocks: number
  scaleBlockSize: number
  top: number
  passes: number
  sparse: boolean
  strip: number
}): Task {
  return task(
    'descend',
    [
      a.h,
      a.r,
      a.s,
      a.scales,
      a.zeros,
      a.codes,
      a.errors,
      a.scratch,
      a.inputs,
      a.panels,
      a.neuronPanels,
      a.candidates,
      a.scaleBlocks,
      a.scaleBlockSize,
      a.top,
      a.passes,
      Number(a.sparse),
      a.strip,
    ],
    a.groups * a.candidates * a.neuronPanels,
    a.strip,
    true,
  )
}

/** Bytes of scratch a worker needs for `descend`. */
export const descendScratch = (panels: number, strip: number): number => strip * (2 * panels + 17) * 256

export function permute(a: {
  from: Pointer
  to: Pointer
  order: Pointer
  panels: number
  groups: number
}): Task {
  return task(
    'permute',
    [a.from, a.to, a.order, a.panels],
    a.groups * a.panels,
    Math.max(1, Math.ceil(64 / a.panels)),
  )
}

export function subtract(a: { a: Pointer; b: Pointer; c: Pointer; bytes: number }): Task {
  return task('subtract', [a.a, a.b, a.c], a.bytes / 256, 1024)
}

export function reverse(a: {
  h: Pointer
  a: Pointer
  damping: Pointer
  inputs: number
  panels: number
  triangular: boolean
  groups: number
}): Task {
  const n = a.panels * PANEL
  return task(
    'reverse',
    [a.h, a.a, a.damping, a.inputs, a.panels, Number(a.triangular)],
    a.groups * n,
    Math.max(1, Math.ceil(16384 / n)),
  )
}

interface FactorBlock {
  a: Pointer
  n: number
  from: number
  to: number
  groups: number
}

export function reduce(a: FactorBlock): Task {
  const step = Math.max(1, Math.ceil(2e5 / (4 * a.from * (a.to - a.from))))
  return task('reduce', [a.a, a.n, a.from, a.to], (a.groups * (a.n - a.from)) / 4, step)
}

export function factorBlock(a: FactorBlock & { least: Pointer; failed: Pointer }): Task {
  return task('factorBlock', [a.a, a.least, a.failed, a.n, a.from, a.to], a.groups, 1)
}

export function solveBlock(a: FactorBlock): Task {
  return task('solveBlock', [a.a, a.n, a.from, a.to], a.groups * (a.n - a.to), 32)
}

export function unitLower(a: { c: Pointer; l: Pointer; panels: number; groups: number }): Task {
  return task('unitLower', [a.c, a.l, a.panels], a.groups * a.panels, Math.max(1, Math.ceil(64 / a.panels)))
}

export function retarget(a: {
  c: Pointer
  h: Pointer
  u: Pointer
  v: Pointer
  r: Pointer
  scratch: Pointer
  panels: number
  triangular: boolean
  neuronPanels: number
  groups: number
}): Task {
  return task(
    'retarget',
    [a.c, a.h, a.u, a.v, a.r, a.scratch, a.panels, Number(a.triangular), a.neuronPanels],
    a.groups * a.neuronPanels,
    1,
    true,
  )
}

/** What a step of `walk` chooses, see assembly/walk.ts. */
export const CHOICES = { soft: 1, hard: 2, chance: 3, exact: 4 } as const

export function walk(a: {
  h: Pointer
  weights: Pointer
  r: Pointer
  scales: Pointer
  zeros: Pointer
  codes: Pointer
  values: Pointer
  scratch: Pointer
  inputs: number
  panels: number
  triangular: boolean
  neuronPanels: number
  groups: number
  candidates: number
  scaleBlocks: number
  scaleBlockSize: number
  top: number
  choice: keyof typeof CHOICES
  lambda: number
  seed: number
}): Task {
  return task(
    'walk',
    [
      a.h,
      a.weights,
      a.r,
      a.scales,
      a.zeros,
      a.codes,
      a.values,
      a.scratch,
      a.inputs,
      a.panels,
      Number(a.triangular),
      a.neuronPanels,
      a.candidates,
      a.scaleBlocks,
      a.scaleBlockSize,
      a.top,
      CHOICES[a.choice],
      a.lambda,
      a.seed,
    ],
    a.groups * a.candidates * a.neuronPanels,
    1,
    true,
  )
}

/** Bytes of scratch a worker needs for `walk`. */
export const walkScratch = (panels: number): number => (panels + 32) * 256

export function sweepTarget(a: { b: Pointer; s: Pointer; u: Pointer; r: Pointer; bytes: number }): Task {
  return task('sweepTarget', [a.b, a.s, a.u, a.r], a.bytes / 256, 1024)
}

export function transpose(a: { from: Pointer; to: Pointer; panels: number; groups: number }): Task {
  return task(
    'transpose',
    [a.from, a.to, a.panels],
    a.groups * a.panels,
    Math.max(1, Math.ceil(64 / a.panels)),
  )
}

export function beacon(a: {
  h: Pointer
  gt: Pointer
  weights: Pointer
  r: Pointer
  s: Pointer
  scales: Pointer
  codes: Pointer
  found: Pointer
  scratch: Pointer
  inputs: number
  panels: number
  neuronPanels: number
  groups: number
  top: number
  zero: number
  loops: number
}): Task {
  return task(
    'beacon',
    [
      a.h,
      a.gt,
      a.weights,
      a.r,
      a.s,
      a.scales,
      a.codes,
      a.found,
      a.scratch,
      a.inputs,
      a.panels,
      a.neuronPanels,
      a.top,
      a.zero,
      a.loops,
    ],
    a.groups * a.neuronPanels,
    1,
    true,
  )
}

/** Bytes of scratch a worker needs for `beacon`. */
export const beaconScratch = (panels: number): number => (2 * panels + 36) * 256

export function vertexWalk(a: {
  x: Pointer
  weights: Pointer
  scratch: Pointer
  rows: number
  inputs: number
  panels: number
  neurons: number
  neuronPanels: number
  groups: number
}): Task {
  return task(
    'vertexWalk',
    [a.x, a.weights, a.scratch, a.rows, a.inputs, a.panels, a.neurons, a.neuronPanels, a.groups],
    a.groups * a.neurons,
    1,
    true,
  )
}

/** Bytes of scratch a worker needs for `vertexWalk`. */
export const vertexScratch = (rows: number, inputs: number): number => {
  const even = (count: number): number => count + (count % 2)
  return ((rows + 2) * even(rows) + even(inputs)) * 8 + Math.ceil((even(rows) * 4) / 16) * 16
}
