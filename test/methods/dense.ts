/** Dense layers for the engine: made from a seed, solved in any form and with the samples cut into any batches. */
import { GRID, scalesFor } from '#src/methods/alphabet.js'
import {
  type Engine,
  quantizeSamples,
  type SamplesOptions,
  type SamplesResult,
} from '#src/methods/quantizeSamples.js'
import { GPFQ, type Recipe } from '#src/methods/recipe.js'
import { denseGather, type SampleBatch } from '#src/methods/samples.js'
import type { SolveRequest } from '#src/methods/solution.js'
import type { Radius, ScalePer } from '#src/options.js'
import { activations, disturbed, reals } from '../random.js'

export interface Dense {
  readonly rows: number
  readonly inputs: number
  readonly neurons: number
  readonly weights: Float32Array // (inputs, neurons)
  readonly x: Float32Array // (rows, inputs)
  readonly xq: Float32Array | null
}

export interface Alphabet {
  readonly levels: number
  readonly scalePer: ScalePer
  readonly radius: Radius
}

/** Every thirteenth input is dead. */
export function randomDense(
  rows: number,
  inputs: number,
  neurons: number,
  same: boolean,
  seed: number,
): Dense {
  const x = activations(rows * inputs, seed).map((value, i) => ((i % inputs) % 13 === 12 ? 0 : value))
  const xq = same ? null : disturbed(x, 0.05, seed + 1)
  return { rows, inputs, neurons, weights: reals(inputs * neurons, seed + 2), x, xq }
}

export function requestFor(layer: Dense, { levels, scalePer, radius }: Alphabet): SolveRequest {
  const { inputs, neurons, weights } = layer
  const shape = { groups: 1, inputs, neurons }
  const search = radius.rule !== 'search' ? 'none' : scalePer === 'layer' ? 'layer' : 'neuron'
  return { weights, shape, levels, scales: scalesFor(weights, shape, levels, scalePer, radius), search }
}

/** @param cut rows of a batch */
export function* batchesOf({ rows, inputs, x, xq }: Dense, cut: number): Iterable<SampleBatch> {
  for (let row = 0; row < rows; row += cut) {
    const end = Math.min(rows, row + cut)
    yield {
      x: x.subarray(row * inputs, end * inputs),
      xq: xq?.subarray(row * inputs, end * inputs) ?? null,
      gather: denseGather(end - row, inputs),
    }
  }
}

/** Solves requests on the samples of `layer`; the widest request decides how much room is planned. */
export function solve(
  engine: Engine,
  layer: Dense,
  requests: readonly SolveRequest[],
  {
    cut = layer.rows,
    recipe = GPFQ,
    ...options
  }: Partial<SamplesOptions> & { readonly cut?: number; readonly recipe?: Recipe } = {},
): Promise<SamplesResult> {
  const { rows, inputs, xq } = layer
  const shape = {
    samples: rows,
    inputs,
    neurons: Math.max(...requests.map((request) => request.shape.neurons)),
    groups: 1,
    same: xq === null,
    candidates: requests.some(({ search }) => search !== 'none') ? GRID.length : 1,
    blockSize: Math.min(...requests.map(({ scales }) => scales.blockSize)),
    batchBytes: 4 * Math.min(cut, rows) * inputs,
    batchPaddedBytes: 0,
    batchRows: Math.min(cut, rows),
    recipe,
  }
  return quantizeSamples(engine, shape, () => batchesOf(layer, cut), requests, { place: 'test', ...options })
}
