/** A pool that records its jobs instead of running them, for tests of plans and tilings. */
import type { Job } from '#src/engine/job.js'
import type { Pool } from '#src/engine/pool.js'
import { GRID } from '#src/methods/alphabet.js'
import { observe } from '#src/methods/observe.js'
import { GPFQ, type Recipe } from '#src/methods/recipe.js'
import { planSamples, type SamplePlan, type SampleShape } from '#src/methods/samplePlan.js'
import { denseGather } from '#src/methods/samples.js'
import { needsWholeG, solve } from '#src/methods/solve.js'
import { planSolve, type SolvePlan } from '#src/methods/solvePlan.js'
import { Arena } from '#src/wasm/arena.js'

/** A dense layer, or groups of one; samples come in one batch. */
export interface Shape {
  readonly samples: number
  readonly inputs: number
  readonly neurons: number
  readonly groups: number
  readonly streamsEqual: boolean
  readonly candidates: 1 | 13
  readonly blockSize: number
  readonly pixelBytes: number
  readonly recipe: Recipe
  readonly segmentRows: number
}

export const layerShape = (
  samples: number,
  inputs: number,
  neurons: number,
  more: Partial<Shape> = {},
): Shape => ({
  ...{
    samples,
    inputs,
    neurons,
    groups: 1,
    streamsEqual: false,
    candidates: 1,
    blockSize: inputs,
    pixelBytes: 0,
  },
  ...{ recipe: GPFQ, segmentRows: 4096 },
  ...more,
})

/** The plans of both verbs. */
export function plansOf(
  shape: Shape,
  threads: number,
): { readonly samples: SamplePlan; readonly solve: SolvePlan } {
  return {
    samples: planSamples(sampleShape(shape)),
    solve: planSolve({ ...shape, withErrors: false }, threads),
  }
}

function sampleShape({
  samples,
  inputs,
  groups,
  streamsEqual,
  candidates,
  recipe,
  segmentRows,
}: Shape): SampleShape {
  return {
    ...{ rows: samples, inputs, groups, streamsEqual, means: false, segmentRows },
    wholeG: needsWholeG(recipe, candidates > 1),
    ...{ batchBytes: 4 * samples * inputs * groups, batchPaddedBytes: 0, batchRows: samples },
  }
}

export interface Recording {
  readonly panels: number
  readonly neuronPanels: number
  readonly jobs: readonly Job[]
  /** Most bytes of the arena in use. */
  readonly bytes: number
}

/** All jobs of one layer, from the first sample to the codes. */
export async function record(shape: Shape, threads: number): Promise<Recording> {
  const { samples, inputs, neurons, groups, blockSize, candidates, recipe } = shape
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 65536, shared: true })
  const jobs: Job[] = []
  const pool: Pool = {
    threads,
    memory,
    run: async (job) => void jobs.push(job),
    close: async () => {},
  }
  const arena = new Arena(memory)
  const start = arena.mark()
  const x = new Float32Array(samples * inputs * groups)
  const gather = { ...denseGather(samples, inputs), groups, images: 1 }
  const batch = { x, xq: shape.streamsEqual ? null : x, gather }
  const observations = await observe({ pool, arena }, sampleShape(shape), [batch], { place: 'test' })
  const blocks = Math.ceil(inputs / blockSize)
  await solve(
    { pool, arena },
    observations,
    [
      {
        weights: new Float32Array(groups * inputs * neurons),
        shape: { groups, inputs, neurons },
        levels: 15,
        scales: { values: new Float32Array(groups * blocks * neurons).fill(1), blocks, blockSize },
        search: candidates === GRID.length ? 'neuron' : 'none',
      },
    ],
    { recipe, place: 'test' },
  )
  const { panels, neuronPanels } = plansOf(shape, threads).solve
  return { panels, neuronPanels, jobs, bytes: arena.peak - start }
}
