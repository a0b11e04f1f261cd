/**
 * Decides before anything runs: which form, how the work is cut, how many bytes each region takes. Everything here is a
 * function of shapes alone, never of the thread count or the machine (but for scratch, which no result depends on), so
 * that the same layer gives the same codes everywhere. A plan is plain data and prints.
 */
import { GpfqError } from '../errors.js'
import { BLOCK, matrixBytes, PANEL_BYTES, panelsOf } from '../wasm/kernels.js'
import { descendScratch, vertexScratch } from '../wasm/methodKernels.js'
import type { CorrelationPlan } from './convolution.js'
import { kindOf } from './family.js'
import { frameRegions } from './frame.js'
import { GPFQ, isOnePath, isPath, isPlain, type Recipe } from './recipe.js'
import { columnWork, stripOf, TILE_WORK } from './strip.js'

export interface LayerShape {
  readonly samples: number // m, rows of X
  readonly inputs: number // N, per group
  readonly neurons: number // K, per group: the widest of the layers that share the samples
  readonly groups: number
  /** Xq = X: nothing before this layer was quantized. */
  readonly same: boolean
  /** Scales to be tried by output error (`search`), 1 otherwise. */
  readonly candidates: number
  /** Inputs that share a scale, at least, of all layers that share the samples. */
  readonly blockSize: number
  /** Largest batch: bytes of the tensor, of its padded copy, rows. */
  readonly batchBytes: number
  readonly batchPaddedBytes: number
  readonly batchRows: number
  /** The Gram form sums H and G as correlations of a convolution's channels. */
  readonly correlation?: CorrelationPlan
  /** What is to be done; plain GPFQ if left out. */
  readonly recipe?: Recipe
  /** Solutions say their relative output error, from H alone: only where Xq = X. */
  readonly judged?: boolean
}

/** `none` rounds: no computation on samples. */
export type Form = 'gram' | 'direct' | 'none'

export interface LayerPlan {
  readonly form: Form
  readonly panels: number // of 8 inputs, per group; in the direct form a multiple of `edge`
  readonly neuronPanels: number // of 8 neurons, per group
  /** Sample blocks of 256 that are resident at once; all of them in the direct form. */
  readonly residentBlocks: number
  /** Gram: only the lower triangles are kept (the output error is not needed). */
  readonly triangular: boolean
  /** Gram: tril(G)·W is needed. It is not where Xq = X and the path alone is wanted. */
  readonly projects: boolean
  /** Gram: panels a side of one tile. Direct: panels of one block of inputs. */
  readonly edge: number
  /** Gram: H is filled above its diagonal too. */
  readonly wholeH: boolean
  /** Gram: H and G are permuted to act-order. */
  readonly ordered: boolean
  /** Gram: the path chooses each block's scale when it has come to its end (assembly/fork.ts). */
  readonly forks: boolean
  /** Gram: codes of all candidates are kept, for the method does not score them on its way. */
  readonly codeCandidates: number
  /** Largest number of scale blocks in a column: one an input where act-order scatters the blocks. */
  readonly scaleBlocks: number
  /** Most columns of a substitution that advance together. */
  readonly strip: number
  /** Columns of coordinate descent that advance together, 0 without it. */
  readonly descendStrip: number
  readonly regions: Readonly<Record<string, number>> // bytes
  readonly bytes: number
}

/**
 * Packed samples that are multiplied before the next ones are packed (one block of 256 at least): what the second-level
 * caches of two cores hold.
 */
export const PIECE_BYTES = 2 * 2 ** 20

/**
 * Multiply-adds of the Gram form: triangles of H and G (all of G where errors are wanted), then R (not where Xq = X) and one
 * substitution, or where errors are wanted R, S, one substitution a candidate and a last one.
 */
export function gramWork(shape: LayerShape): number {
  const { samples, inputs, neurons, groups, same, candidates } = shape
  const n = 8 * panelsOf(inputs)
  const k = 8 * panelsOf(neurons)
  const path = n * n * k * (candidates > 1 ? 1.5 + 0.5 * candidates : same ? 0.5 : 1)
  return (shape.correlation?.work ?? patchWork(shape, samples)) + groups * path
}

/** Multiply-adds for H and G of `rows` patches. */
export function patchWork({ inputs, groups, same, candidates }: LayerShape, rows: number): number {
  const n = 8 * panelsOf(inputs)
  const triangle = (n * (n + 8)) / 2
  return groups * rows * (triangle + (same ? 0 : candidates > 1 ? n * n : triangle))
}

/**
 * Multiply-adds of the direct form. The update of U also moves it through the registers: an eighth more. In-block triangles
 * are too small for the speed of whole matrices: they count twice.
 */
export function directWork(shape: LayerShape): number {
  const edge = directEdge(shape.neurons)
  const n = 8 * edge * Math.ceil(panelsOf(shape.inputs) / edge)
  const k = 8 * panelsOf(shape.neurons)
  const block = 8 * edge
  const products = shape.same ? 1 : 2
  const update = products * n * k * 1.125
  const triangles = products * n * (block + 8)
  return shape.groups * shape.samples * (n * k + update + triangles)
}

/** Panels a side of one tile of H or G: as many as leave at least 36 tiles to the lower triangle, from 72 inputs on. */
export const gramEdge = (panels: number): number => (panels >= 64 ? 8 : panels > 28 ? 4 : panels > 14 ? 2 : 1)

/** Panels of inputs in a block of the direct form: short for few neurons, where the in-block triangles weigh more. */
const directEdge = (neurons: number): number => (neurons <= 128 ? 2 : 8)

/** @param form fixes the form instead of leaving it to the cost model (benches and tests). */
export function planLayer(shape: LayerShape, threads: number, form?: Form): LayerPlan {
  if (form === 'none' || shape.recipe?.preprocess === true || shape.recipe?.method === 'frame')
    return fits(planRounding(shape, threads))
  // The search for scales reuses H and G for all candidates; only the Gram form offers it.
  if (shape.candidates > 1 || form === 'gram' || shape.judged === true || !isPlain(shape.recipe ?? GPFQ))
    return fits(planGram(shape, threads))
  if (form === 'direct') return fits(planDirect(shape, threads))
  const [preferred, other] =
    directWork(shape) < gramWork(shape) ? [planDirect, planGram] : [planGram, planDirect]
  // Without any scratch for threads: what chooses the form must not depend on how many there are.
  const chosen = preferred(shape, 0).bytes > LIMIT && other(shape, 0).bytes <= LIMIT ? other : preferred
  return fits(chosen(shape, threads))
}

/** The same plan with more regions. @throws GpfqError OUT_OF_MEMORY where they do not fit any more */
export function withRegions(plan: LayerPlan, more: Readonly<Record<string, number>>): LayerPlan {
  const regions = { ...plan.regions, ...more }
  return fits({ ...plan, regions, bytes: total(regions) })
}

const LIMIT = 2 ** 32 - 2 ** 20

function fits(plan: LayerPlan): LayerPlan {
  if (plan.bytes <= LIMIT) return plan
  const [largest] = Object.entries(plan.regions).sort(([, a], [, b]) => b - a)
  throw new GpfqError(
    'OUT_OF_MEMORY',
    `memory plan: expected at most 4096 MiB, got a need of ${Math.ceil(plan.bytes / 2 ** 20)} MiB ` +
      `(most of it ${largest?.[0]}); exclude the layer, or use fewer samples, patches or threads`,
  )
}

function staging(shape: LayerShape): Record<string, number> {
  const streams = shape.same ? 1 : 2
  return {
    'staged batches': 2 * streams * (shape.batchBytes + shape.batchPaddedBytes),
    'staged offsets': 8 * (shape.batchRows + shape.inputs),
  }
}

function weights(
  shape: LayerShape,
  panels: number,
  neuronPanels: number,
  scaleBlocks = scaleBlocksOf(shape),
  codeCandidates = 1,
): Record<string, number> {
  const columns = shape.groups * neuronPanels
  const column = panels * 256
  return {
    weights:
      4 * shape.groups * shape.inputs * shape.neurons + columns * column + 4 * (shape.inputs + shape.neurons),
    scales: 2 * columns * shape.candidates * scaleBlocks * 32,
    codes: (columns * codeCandidates * column) / 4,
  }
}

function planGram(shape: LayerShape, threads: number): LayerPlan {
  const { groups, same, candidates, recipe = GPFQ, judged = false } = shape
  const panels = panelsOf(shape.inputs)
  const neuronPanels = panelsOf(shape.neurons)
  const search = candidates > 1
  const plain = !judged && isOnePath(recipe)
  const whole = search || !plain
  const descends = judged || (!plain && (search || (recipe.passes > 0 && recipe.method !== 'beacon')))
  const ordered = recipe.actOrder
  const blocks = scaleBlocksOf(shape)
  const forks = search && blocks > 1 && isPath(recipe)
  const scaleBlocks = ordered && !forks && blocks > 1 ? shape.inputs : blocks
  const projects = whole || !same
  const codeCandidates = plain ? 1 : candidates
  const streams = same ? 1 : 2
  const residentBlocks = pieceBlocksOf(shape, panels)
  const columns = groups * neuronPanels
  const strip = stripOf(candidates * neuronPanels, panels)
  const descendStrip = Math.max(
    1,
    Math.min(strip, Math.floor(TILE_WORK / (columnWork(panels) * (1 + recipe.passes)))),
  )
  const matrix = groups * matrixBytes(panels, !whole)
  const regions = {
    ...staging(shape),
    'packed samples': residentBlocks * blockBytesOf(shape, panels),
    'Gram matrices': matrix * streams,
    correlations: shape.correlation?.bytes ?? 0,
    ...(ordered ? { 'Gram matrices in order': matrix * streams + 32 * groups * panels } : {}),
    ...weights(shape, panels, neuronPanels, scaleBlocks, codeCandidates),
    projections: columns * panels * 256 * (whole ? 2 : Number(projects)),
    errors: whole ? columns * candidates * 64 : 0,
    ...(descends ? { 'descent scratch': threads * descendScratch(panels, descendStrip) } : {}),
    ...kindOf(recipe).regions(shape, { panels, neuronPanels, strip }, threads),
  }
  return {
    form: 'gram',
    panels,
    neuronPanels,
    residentBlocks,
    triangular: !whole,
    projects,
    wholeH: !plain,
    ordered,
    forks,
    codeCandidates,
    scaleBlocks,
    edge: gramEdge(panels),
    strip,
    descendStrip: descends ? descendStrip : 0,
    regions,
    bytes: total(regions),
  }
}

/** What only the Gram form has. */
const PLAIN = {
  projects: false,
  wholeH: false,
  ordered: false,
  forks: false,
  codeCandidates: 1,
  strip: 1,
  descendStrip: 1,
}

function planDirect(shape: LayerShape, threads: number): LayerPlan {
  const { groups, same } = shape
  const edge = directEdge(shape.neurons)
  const blocks = Math.ceil(panelsOf(shape.inputs) / edge)
  const panels = blocks * edge
  const neuronPanels = panelsOf(shape.neurons)
  const residentBlocks = Math.ceil(shape.samples / BLOCK)
  const streams = same ? 1 : 2
  const columns = groups * neuronPanels
  const regions = {
    ...staging(shape),
    'packed samples': residentBlocks * streams * groups * panels * PANEL_BYTES,
    triangles: streams * groups * blocks * matrixBytes(edge, true),
    ...weights(shape, panels, neuronPanels),
    '−Q': columns * panels * 256,
    residuals: residentBlocks * columns * BLOCK * 32,
    'partial sums': residentBlocks * columns * edge * 256,
    scratch: threads * edge * 256,
  }
  return {
    form: 'direct',
    panels,
    neuronPanels,
    residentBlocks,
    triangular: true,
    edge,
    ...PLAIN,
    scaleBlocks: scaleBlocksOf(shape),
    regions,
    bytes: total(regions),
  }
}

function planRounding(shape: LayerShape, threads: number): LayerPlan {
  const walks = shape.recipe?.preprocess === true
  const panels = panelsOf(shape.inputs)
  const neuronPanels = panelsOf(shape.neurons)
  // The walk needs all samples at once, in panels that never fill up.
  const residentBlocks = walks ? Math.floor(shape.samples / BLOCK) + 1 : pieceBlocksOf(shape, panels)
  const regions = {
    ...staging(shape),
    'packed samples': residentBlocks * blockBytesOf(shape, panels),
    ...weights(shape, panels, neuronPanels),
    ...(walks ? { scratch: threads * vertexScratch(shape.samples, shape.inputs) } : {}),
    ...(shape.recipe?.method === 'frame' ? frameRegions(shape, { panels, neuronPanels }, threads) : {}),
  }
  return {
    form: 'none',
    panels,
    neuronPanels,
    residentBlocks,
    triangular: true,
    edge: 1,
    ...PLAIN,
    scaleBlocks: scaleBlocksOf(shape),
    regions,
    bytes: total(regions),
  }
}

const scaleBlocksOf = ({ inputs, blockSize }: LayerShape): number => Math.ceil(inputs / blockSize)

/** Bytes of one packed sample block of both streams. */
const blockBytesOf = ({ same, groups }: LayerShape, panels: number): number =>
  (same ? 1 : 2) * groups * panels * PANEL_BYTES

/** Sample blocks that are packed before what is in the panels is used. */
export const pieceBlocksOf = (shape: LayerShape, panels: number): number =>
  Math.max(
    1,
    Math.min(Math.ceil(shape.samples / BLOCK), Math.floor(PIECE_BYTES / blockBytesOf(shape, panels))),
  )

const total = (regions: Readonly<Record<string, number>>): number =>
  Object.values(regions).reduce((sum, bytes) => sum + bytes, 0)
