/** Dense layers for the engine: made from a seed, observed and solved with the samples cut into any batches. */
import { scalesFor } from '#src/methods/alphabet.js'
import type { Engine } from '#src/methods/engine.js'
import { denseGather, type SampleBatch } from '#src/methods/samples.js'
import type { SolveRequest } from '#src/methods/solution.js'
import type { Radius, ScalePer } from '#src/options.js'
import { activations, disturbed, reals } from '../random.js'
import { type LayerSamples, observeAndSolve, type Quantized, type Run } from './observeAndSolve.js'

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

/** @param cut rows in a batch */
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

/** The shape of a layer's samples in batches of `cut` rows. */
export function samplesOf({ rows, inputs, xq }: Dense, cut = rows): LayerSamples {
  const batchRows = Math.min(cut, rows)
  return {
    ...{ rows, inputs, groups: 1, streamsEqual: xq === null },
    ...{ batchBytes: 4 * batchRows * inputs, batchPaddedBytes: 0, batchRows },
  }
}

/** Observes the samples of `layer` and solves requests on them. */
export function solve(
  engine: Engine,
  layer: Dense,
  requests: readonly SolveRequest[],
  {
    cut = layer.rows,
    segmentRows,
    ...options
  }: Run & { readonly cut?: number; readonly segmentRows?: number } = {},
): Promise<Quantized> {
  const shape = { ...samplesOf(layer, cut), ...(segmentRows === undefined ? {} : { segmentRows }) }
  return observeAndSolve(engine, shape, () => batchesOf(layer, cut), requests, options)
}
