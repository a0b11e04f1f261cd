/**
 * The typed kernel table, continued: the kernels of the methods beyond plain GPFQ (factors of H, coordinate descent,
 * orders of the inputs, walks with other choices, Beacon, the vertex walk, frames). Same rules as kernels.ts.
 */
import type { Task } from '../engine/job.js'
import type { Pointer } from './arena.js'
import { PANEL, type Path, task } from './kernels.js'

/** `h` is the full matrix, with the part above the diagonal. Without `weights` every value that is zero stays zero. */
export function descend(
  a: Path & {
    weights: Pointer
    s: Pointer
    errors: Pointer
    passes: number
    strip: number
  },
): Task {
  return task(
    'descend',
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
      a.neuronPanels,
      a.candidates,
      a.scaleBlocks,
      a.scaleBlockSize,
      a.top,
      a.passes,
      a.strip,
    ],
    a.groups * a.candidates * a.neuronPanels,
    a.strip,
  )
}

/** Bytes of scratch that each worker needs for `descend`. */
export const descendScratch = (panels: number, strip: number): number => strip * (2 * panels + 17) * 256

export function permute(a: {
  from: Pointer
  to: Pointer
  order: Pointer
  panels: number
  groups: number
}): Task {
  return task('permute', [a.from, a.to, a.order, a.panels], a.groups * a.panels, 64 / a.panels)
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
  return task('reverse', [a.h, a.a, a.damping, a.inputs, a.panels, a.triangular], a.groups * n, 16384 / n)
}

interface FactorBlock {
  a: Pointer
  n: number
  from: number
  to: number
  groups: number
}

export function reduce(a: FactorBlock): Task {
  const step = 2e5 / (4 * a.from * (a.to - a.from))
  return task('reduce', [a.a, a.n, a.from, a.to], (a.groups * (a.n - a.from)) / 4, step)
}

export function factorBlock(a: FactorBlock & { least: Pointer; failed: Pointer; inputs: number }): Task {
  return task('factorBlock', [a.a, a.least, a.failed, a.inputs, a.n, a.from, a.to], a.groups, 1)
}

export function solveBlock(a: FactorBlock): Task {
  return task('solveBlock', [a.a, a.n, a.from, a.to], a.groups * (a.n - a.to), 32)
}

export function unitLower(a: { c: Pointer; l: Pointer; panels: number; groups: number }): Task {
  return task('unitLower', [a.c, a.l, a.panels], a.groups * a.panels, 64 / a.panels)
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
    [a.c, a.h, a.u, a.v, a.r, a.scratch, a.panels, a.triangular, a.neuronPanels],
    a.groups * a.neuronPanels,
    1,
  )
}

/** How a step of `walk` chooses a value: the constants of assembly/walk.ts. */
export const CHOICES = { soft: 1, hard: 2, chance: 3, exact: 4 } as const

export function walk(
  a: Path & {
    weights: Pointer
    values: Pointer
    triangular: boolean
    choice: keyof typeof CHOICES
    lambda: number
    seed: number
  },
): Task {
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
      a.triangular,
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
  )
}

/** Bytes of scratch that each worker needs for `walk`. */
export const walkScratch = (panels: number): number => (panels + 32) * 256

export function sweepTarget(a: { b: Pointer; s: Pointer; u: Pointer; r: Pointer; bytes: number }): Task {
  return task('sweepTarget', [a.b, a.s, a.u, a.r], a.bytes / 256, 1024)
}

export function transpose(a: { from: Pointer; to: Pointer; panels: number; groups: number }): Task {
  return task('transpose', [a.from, a.to, a.panels], a.groups * a.panels, 64 / a.panels)
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
  )
}

/** Bytes of scratch that each worker needs for `beacon`. */
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
  top: number
}): Task {
  return task(
    'vertexWalk',
    [a.x, a.weights, a.scratch, a.rows, a.inputs, a.panels, a.neurons, a.neuronPanels, a.groups, a.top],
    a.groups * a.neurons,
    1,
  )
}

/** Bytes of scratch that each worker needs for `vertexWalk`. */
export const vertexScratch = (rows: number, inputs: number): number => {
  const even = (count: number): number => count + (count % 2)
  return ((rows + 2) * even(rows) + even(inputs)) * 8 + Math.ceil((even(rows) * 4) / 16) * 16
}

export function frame(a: {
  weights: Pointer
  basis: Pointer
  scales: Pointer
  codes: Pointer
  values: Pointer
  scratch: Pointer
  inputs: number
  panels: number
  columns: number // groups · neuron panels
  dimension: number
  count: number
  top: number
}): Task {
  return task(
    'frame',
    [
      a.weights,
      a.basis,
      a.scales,
      a.codes,
      a.values,
      a.scratch,
      a.inputs,
      a.panels,
      a.dimension,
      a.count,
      a.top,
    ],
    a.columns,
    1,
  )
}
