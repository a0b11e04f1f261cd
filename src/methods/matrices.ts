/**
 * H and G of observations in shared memory, as the kernels read them: both triangular, or both whole, and permuted where
 * inputs are taken in act-order. All later steps see the inputs in that order.
 */
import type { Phase } from '../engine/job.js'
import type { RunOptions } from '../engine/pool.js'
import type { Pointer } from '../wasm/arena.js'
import * as kernels from '../wasm/kernels.js'
import * as methodKernels from '../wasm/methodKernels.js'
import { clearDead, clearRows, combineWith, type LaidMatrix, pixelSums } from './combineCorrelations.js'
import type { Engine } from './engine.js'
import type { Regions } from './layout.js'
import { type Observations, sumLayout } from './observations.js'
import { copyMatrix, diagonalOf, matrixFloats, type PanelLayout } from './panelMatrix.js'
import type { SolvePlan, SolveShape } from './solvePlan.js'

export interface Matrices {
  /** XqᵀXq, a matrix of panelMatrix.ts: whole (also above the diagonal) unless the plan is triangular. */
  readonly h: Pointer
  /** XqᵀX, same shape; equal to h where Xq = X. */
  readonly g: Pointer
  /** Diagonal of H, (groups, inputs), in the order that is solved. */
  readonly diagonal: Float32Array
  /** That of G. */
  readonly diagonalG: Float32Array
  /** Order of inputs, [group][inputs]: place → input; null in their own order. */
  readonly order: Uint32Array | null
}

/** Loads H and G into the regions of the plan. */
export async function loadMatrices(
  { pool, arena }: Engine,
  observations: Observations,
  shape: SolveShape,
  plan: SolvePlan,
  regions: Regions,
  options: RunOptions,
): Promise<Matrices> {
  const { groups, inputs, streamsEqual } = observations.shape
  const { panels, triangular, ordered } = plan
  const layout = sumLayout(observations.shape)
  const stored = (isTriangular: boolean): PanelLayout => ({ groups, inputs, triangular: isTriangular })
  const kernelLayout = stored(triangular)
  const floats = matrixFloats(kernelLayout)
  const sum = observations.total()
  const { convolution } = observations.shape
  const load = (name: string, from: PanelLayout, offset: number): Pointer => {
    const pointer = regions.at(ordered ? 'as observed' : name)
    const source = sum.values.subarray(offset, offset + matrixFloats(from))
    copyMatrix(from, source, kernelLayout, arena.floats(pointer, floats))
    return pointer
  }
  const laid = (at: Pointer): LaidMatrix => ({ values: arena.floats(at, floats), layout: kernelLayout })
  /** @param norms diagonal of H where the matrix is G */
  const combine = async (at: Pointer, norms: Float32Array | null): Promise<void> => {
    if (convolution === null) return
    const pixels = regions.at('sums over pixels')
    const own = pixelSums(observations.shape, sum, norms !== null)
    arena.floats(pixels, own.length).set(own)
    const matrix = { at, triangular, symmetric: norms === null }
    await pool.run([combineWith(observations.shape, convolution, matrix, pixels)], options)
    if (norms === null) clearDead(observations.shape, convolution, own, laid(at))
    else clearRows(laid(at), norms)
  }
  const h = load('H', stored(true), layout.h)
  await combine(h, null)
  const diagonal = diagonalOf(kernelLayout, arena.floats(h, floats))
  const order = ordered ? descendingOrder(diagonal, shape, plan.forks) : null
  if (order !== null)
    writeOrder(
      arena.words(regions.at('order of inputs'), groups * panels * kernels.PANEL),
      order,
      inputs,
      groups,
    )
  /** Puts a matrix in order, from memory that the next one uses again. */
  const settle = async (name: string, from: Pointer, before: readonly Phase[] = []): Promise<Pointer> => {
    const to = regions.at(name)
    const at = order === null ? 0 : regions.at('order of inputs')
    const phases: readonly Phase[] =
      order === null ? before : [...before, [methodKernels.permute({ from, to, order: at, panels, groups })]]
    if (phases.length > 0) await pool.run(phases, options)
    return to
  }
  const ownH = await settle('H', h, triangular ? [] : [[kernels.mirror({ matrix: h, panels, groups })]])
  let ownG = ownH
  if (!streamsEqual) {
    const g = load('G', stored(!observations.shape.wholeG), layout.g)
    await combine(g, diagonal)
    ownG = await settle('G', g)
  }
  const inOrder = order === null ? diagonal : diagonal.map((_, i) => diagonal[i - (i % inputs) + order[i]!]!)
  const diagonalG = diagonalOf(kernelLayout, arena.floats(ownG, floats))
  return { h: ownH, g: ownG, diagonal: inOrder, diagonalG, order }
}

/**
 * Inputs in descending order of H_tt, those of each block of inputs by themselves where blocks stay together; equal ones
 * keep their order.
 */
function descendingOrder(
  diagonal: Float32Array,
  { groups, inputs, blockSize }: SolveShape,
  blocksTogether: boolean,
): Uint32Array {
  const blockOf = (input: number): number => (blocksTogether ? Math.floor(input / blockSize) : 0)
  const order = new Uint32Array(groups * inputs)
  for (let g = 0; g < groups; g++) {
    const norms = diagonal.subarray(g * inputs, (g + 1) * inputs)
    const own = Uint32Array.from(norms.keys()).sort(
      (a, b) => blockOf(a) - blockOf(b) || norms[b]! - norms[a]! || a - b,
    )
    order.set(own, g * inputs)
  }
  return order
}

/** The order as kernels read it, [group][8·panels]: padding stays in its place. */
function writeOrder(words: Uint32Array, order: Uint32Array, inputs: number, groups: number): void {
  const columns = words.length / groups
  for (let g = 0; g < groups; g++) {
    for (let t = 0; t < columns; t++) words[g * columns + t] = t < inputs ? order[g * inputs + t]! : t
  }
}
