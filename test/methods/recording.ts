/** A pool that carries nothing out and remembers what it was asked to do: plans and tilings without the work. */
import type { Job } from '#src/engine/job.js'
import type { Pool } from '#src/engine/pool.js'
import { DirectForm } from '#src/methods/directForm.js'
import { GramForm } from '#src/methods/gramForm.js'
import { type Form, type LayerPlan, type LayerShape, planLayer } from '#src/methods/plan.js'
import { RoundForm } from '#src/methods/roundForm.js'
import { denseGather } from '#src/methods/samples.js'
import { Arena } from '#src/wasm/arena.js'

export interface Recording {
  readonly plan: LayerPlan
  readonly jobs: readonly Job[]
  /** Bytes of the arena that the form took. */
  readonly bytes: number
}

/** A dense layer; samples come in one batch. */
export const denseShape = (
  samples: number,
  inputs: number,
  neurons: number,
  more: Partial<LayerShape> = {},
): LayerShape => ({
  ...{ samples, inputs, neurons },
  groups: 1,
  same: false,
  candidates: 1,
  blockSize: inputs,
  batchBytes: 4 * samples * inputs,
  batchPaddedBytes: 0,
  batchRows: samples,
  ...more,
})

/** What a form asks its pool for, from the first sample to the codes of one layer. */
export async function record(shape: LayerShape, threads: number, form?: Form): Promise<Recording> {
  const { samples, inputs, neurons, groups, blockSize, candidates } = shape
  const blocks = Math.ceil(inputs / blockSize)
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 65536, shared: true })
  const jobs: Job[] = []
  const pool: Pool = {
    threads,
    memory,
    run: async (job) => void jobs.push(job),
    close: async () => {},
  }
  const plan = planLayer(shape, threads, form)
  const arena = new Arena(memory)
  const start = arena.mark()
  const Kind = { gram: GramForm, direct: DirectForm, none: RoundForm }[plan.form]
  const solver = new Kind(pool, arena, shape, plan)
  const bytes = arena.mark() - start
  const x = new Float32Array(shape.batchBytes / 4)
  await solver.add({ x, xq: shape.same ? null : x, gather: { ...denseGather(samples, inputs), groups } }, {})
  await solver.finish({})
  await solver.solve(
    {
      weights: new Float32Array(groups * inputs * neurons),
      shape: { groups, inputs, neurons },
      levels: 15,
      scales: {
        values: new Float32Array(groups * blocks * neurons).fill(1),
        blocks,
        blockSize,
      },
      search: candidates > 1 ? 'neuron' : 'none',
    },
    {},
  )
  return { plan, jobs, bytes }
}
