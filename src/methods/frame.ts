/**
 * Frame quantization (2404.08131, Czaja and Na): weights by the codes of their coefficients on a redundant set of vectors,
 * first-order sigma-delta, no samples. Twin: reference/frame.ts; mathematics: assembly/frame.ts.
 *
 * Each run of d ≤ 16 weights of a neuron has F = r·d coefficients on a harmonic frame, so a weight costs r·log₂M bits, and
 * its error falls as 1/r. Cost: 3·F·N multiply-adds a neuron. When: hardly ever. Bit for bit it loses more than rounding
 * with more levels (docs/METHODS.md), and what it gives are reals, not codes of weights: a file of them is no smaller. It is
 * here because its bound needs no data at all, and to be compared with.
 */
import type { Pool, RunOptions } from '../engine/pool.js'
import type { Arena, Pointer } from '../wasm/arena.js'
import { PANEL, panelsOf } from '../wasm/kernels.js'
import { frame } from '../wasm/methodKernels.js'
import type { WeightShape } from './alphabet.js'
import { Columns, fromPanels } from './columns.js'
import { Packer } from './packing.js'
import type { LayerPlan, LayerShape } from './plan.js'
import { REDUNDANCY, type Recipe } from './recipe.js'
import type { Diagnosis, LayerForm, Solution, SolveRequest } from './solution.js'

/** Weights that share coefficients: harmonic frames want an even number. */
export const dimensionOf = (inputs: number): number => Math.min(16, 2 * Math.ceil(inputs / 2))

/** Coefficients of one neuron. */
export const coefficientsOf = (inputs: number, redundancy: number): number =>
  Math.ceil(inputs / dimensionOf(inputs)) * dimensionOf(inputs) * redundancy

/** Bytes beyond those of rounding. */
export function frameRegions(
  { inputs, groups, recipe }: LayerShape,
  { panels, neuronPanels }: Pick<LayerPlan, 'panels' | 'neuronPanels'>,
  threads: number,
): Record<string, number> {
  const count = dimensionOf(inputs) * redundancyOf(recipe)
  const columns = groups * neuronPanels
  return {
    frame: 4 * count * dimensionOf(inputs),
    coefficients: columns * PANEL * coefficientsOf(inputs, redundancyOf(recipe)),
    'reconstructed weights': columns * panels * 256,
    scratch: threads * count * 32,
  }
}

const redundancyOf = (recipe: Recipe | undefined): number => recipe?.redundancy ?? REDUNDANCY

export class FrameForm implements LayerForm {
  readonly packer: Packer
  readonly columns: Columns
  readonly #pool: Pool
  readonly #arena: Arena
  readonly #plan: LayerPlan
  readonly #redundancy: number
  readonly #basis: Pointer // (F, d) float32
  readonly #codes: Pointer // [group][neuron panel][coefficient][8] bytes
  readonly #values: Pointer // [group][neuron panel][8·panels][8] float32
  readonly #scratch: Pointer // [worker][F][8] float32

  constructor(pool: Pool, arena: Arena, shape: LayerShape, plan: LayerPlan) {
    this.#pool = pool
    this.#arena = arena
    this.#plan = plan
    this.#redundancy = redundancyOf(shape.recipe)
    this.packer = new Packer(pool, arena, shape, plan)
    this.columns = new Columns(arena, shape, plan.panels, plan.scaleBlocks, 1)
    const regions = frameRegions(shape, plan, pool.threads)
    this.#basis = arena.allocate(regions.frame!)
    this.#codes = arena.allocate(regions.coefficients!)
    this.#values = arena.allocate(regions['reconstructed weights']!)
    this.#scratch = arena.allocate(regions.scratch!)
  }

  async add(): Promise<void> {}

  async finish(): Promise<void> {}

  diagnose(): Diagnosis {
    return { dead: 0, finite: true }
  }

  async solve(request: SolveRequest, options: RunOptions): Promise<Solution> {
    const { weights, shape } = request
    const dimension = dimensionOf(shape.inputs)
    const count = dimension * this.#redundancy
    this.#arena.floats(this.#basis, count * dimension).set(harmonicFrame(count, dimension))
    const task = frame({
      ...this.columns.of(request),
      basis: this.#basis,
      codes: this.#codes,
      values: this.#values,
      scratch: this.#scratch,
      dimension,
      count,
    })
    await this.#pool.run([this.columns.load(weights, shape), [task]], options)
    return this.#read(shape)
  }

  /** From panels of 8 neurons to rows. */
  #read(shape: WeightShape): Solution {
    const { groups, inputs, neurons } = shape
    const columns = groups * panelsOf(neurons) * PANEL
    const count = coefficientsOf(inputs, this.#redundancy)
    const held = this.#plan.panels * PANEL
    const arena = this.#arena
    const floats = (rows: number): Float32Array => new Float32Array(groups * rows * neurons)
    const codes = new Uint8Array(groups * count * neurons)
    return {
      codes: fromPanels(arena.bytes(this.#codes, columns * count), count, count, shape, codes),
      scales: this.columns.readScales(shape, 1),
      values: fromPanels(arena.floats(this.#values, columns * held), held, inputs, shape, floats(inputs)),
    }
  }
}

/**
 * The harmonic frame: e_k = √(2/d) (cos 2πk/F, sin 2πk/F, cos 4πk/F, sin 4πk/F, …), (count, dimension) float32. By series
 * instead of Math.cos, whose last bit is every engine's own.
 */
export function harmonicFrame(count: number, dimension: number): Float32Array {
  const basis = new Float32Array(count * dimension)
  const norm = Math.sqrt(2 / dimension)
  for (let k = 0; k < count; k++) {
    for (let j = 0; j < dimension; j += 2) {
      const turn = (k * (j / 2 + 1)) % count
      basis[k * dimension + j] = norm * cosine(turn, count)
      basis[k * dimension + j + 1] = norm * cosine((4 * turn + 3 * count) % (4 * count), 4 * count)
    }
  }
  return basis
}

/** cos(2π·part/whole) for whole numbers 0 ≤ part < whole, by Taylor's series on half a turn. */
function cosine(part: number, whole: number): number {
  const x = (2 * Math.PI * Math.min(part, whole - part)) / whole
  let sum = 0
  let term = 1
  for (let n = 0; n < 32; n += 2) {
    sum += term
    term *= (-x * x) / ((n + 1) * (n + 2))
  }
  return sum
}
