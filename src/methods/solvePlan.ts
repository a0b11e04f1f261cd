/**
 * The plan of solving: how a layer's codes are computed from its observations and which memory that takes. A function of
 * shapes alone, never of the thread count or the machine (but for scratch, on which no result depends), so that the same
 * layer gets the same codes everywhere. A plan is plain data and prints.
 *
 * Memory is used in three steps: matrices are loaded, the method prepares them, weights are solved. What is used in the
 * first step alone shares its room with what comes later.
 */

import { matrixBytes, panelsOf } from '../wasm/kernels.js'
import { descendScratch } from '../wasm/methodKernels.js'
import type { WeightShape } from './alphabet.js'
import { kindOf } from './family.js'
import { type Layout, layOut, type RegionNeed } from './layout.js'
import { isOnePath, isPath, type Recipe } from './recipe.js'
import { columnWork, stripOf, TILE_WORK } from './strip.js'

/** What solving has to know of the layers that share their observations. */
export interface SolveShape {
  readonly inputs: number // N, per group
  readonly groups: number
  /** K, per group: of the widest layer. */
  readonly neurons: number
  readonly streamsEqual: boolean
  /** Scales that are tried by output error (`search`), 1 otherwise. */
  readonly candidates: number
  /** Inputs that share a scale, the least of all layers. */
  readonly blockSize: number
  /** Sums over pixels of a convolution whose patches are not formed, those of H or of G; 0 without. */
  readonly pixelBytes: number
  readonly recipe: Recipe
  /** Solutions state their relative output error, computed from H alone. Only where Xq = X. */
  readonly withErrors: boolean
}

export interface SolvePlan {
  readonly panels: number // of 8 inputs, per group
  readonly neuronPanels: number // of 8 neurons, per group
  /** Only the lower triangles of H and G are used (the output error is not needed). */
  readonly triangular: boolean
  /** tril(G)·W is needed. It is not where Xq = X and the path alone is followed. */
  readonly projects: boolean
  /** H and G are permuted to act-order. */
  readonly ordered: boolean
  /** The path chooses each block's scale when it has come to its end (assembly/fork.ts). */
  readonly forks: boolean
  /** Candidates whose codes are kept: all of a search if the method does not score them on its path, otherwise 1. */
  readonly codeCandidates: number
  /** Largest number of scale blocks in a column: one an input where act-order scatters the blocks. */
  readonly scaleBlocks: number
  /** Most columns of a substitution that advance together. */
  readonly strip: number
  /** Columns of coordinate descent that advance together, 0 without it. */
  readonly descendStrip: number
  readonly layout: Layout
}

/** The steps of memory.  */
const LOAD = 0
const PREPARE = 1
const SOLVE = 2

/** Regions, in bytes, that are needed from one step to another. */
const during = (
  from: number,
  to: number,
  regions: Readonly<Record<string, number>>,
): Record<string, RegionNeed> =>
  Object.fromEntries(Object.entries(regions).map(([name, bytes]) => [name, { bytes, from, to }]))

/** Whether codes follow from the lower triangles of H and G, and of G nothing where Xq = X. */
export const usesTriangles = ({
  candidates,
  withErrors,
  recipe,
}: Pick<SolveShape, 'candidates' | 'withErrors' | 'recipe'>): boolean =>
  candidates === 1 && !withErrors && isOnePath(recipe)

/** @throws GpfqError OUT_OF_MEMORY */
export function planSolve(shape: SolveShape, threads: number): SolvePlan {
  const { groups, inputs, streamsEqual, candidates, recipe, withErrors } = shape
  const panels = panelsOf(inputs)
  const neuronPanels = panelsOf(shape.neurons)
  const search = candidates > 1
  const triangular = usesTriangles(shape)
  const plain = !withErrors && isOnePath(recipe)
  const descends = withErrors || (!plain && (search || (recipe.passes > 0 && recipe.method !== 'beacon')))
  const ordered = recipe.actOrder
  const blocks = Math.ceil(inputs / shape.blockSize)
  const forks = search && blocks > 1 && isPath(recipe)
  const scaleBlocks = ordered && !forks && blocks > 1 ? inputs : blocks
  const projects = !triangular || !streamsEqual
  const codeCandidates = plain ? 1 : candidates
  const columns = groups * neuronPanels
  const strip = stripOf(candidates * neuronPanels, panels)
  const descendStrip = Math.max(
    1,
    Math.min(strip, Math.floor(TILE_WORK / (columnWork(panels) * (1 + recipe.passes)))),
  )
  const matrix = groups * matrixBytes(panels, triangular)
  const needs: Record<string, RegionNeed> = {
    H: matrix,
    ...(!streamsEqual && { G: matrix }),
    ...during(LOAD, LOAD, { 'sums over pixels': shape.pixelBytes }),
    ...(ordered &&
      during(LOAD, LOAD, {
        // H first, then G.
        'as observed': matrix,
        'order of inputs': 32 * groups * panels,
      })),
    ...columnNeeds(shape, scaleBlocks, candidates, codeCandidates),
    ...during(SOLVE, SOLVE, {
      ...(projects && { 'tril(G)·W': columns * panels * 256 }),
      ...(!triangular && {
        'triu(G, 1)·W': columns * panels * 256,
        errors: columns * candidates * 64,
      }),
      ...(descends && { 'descent scratch': threads * descendScratch(panels, descendStrip) }),
    }),
    ...during(PREPARE, SOLVE, kindOf(recipe).regions(shape, { panels, neuronPanels, strip }, threads)),
  }
  return {
    ...{ panels, neuronPanels, triangular, projects, ordered, forks, codeCandidates, scaleBlocks, strip },
    descendStrip: descends ? descendStrip : 0,
    layout: layOut(needs),
  }
}

/** What a layer's weights, scales and codes take in the kernels' layout (columns.ts). */
export function columnNeeds(
  { groups, inputs, neurons }: WeightShape,
  scaleBlocks: number,
  candidates = 1,
  codeCandidates = 1,
): Record<string, RegionNeed> {
  const columns = groups * panelsOf(neurons)
  const panels = panelsOf(inputs)
  const scales = columns * candidates * scaleBlocks * 32
  return during(SOLVE, SOLVE, {
    'weights as given': 4 * groups * inputs * neurons,
    'offsets of weights': 4 * (inputs + neurons),
    weights: columns * panels * 256,
    scales,
    'zero points': scales,
    codes: columns * codeCandidates * panels * 64,
  })
}
