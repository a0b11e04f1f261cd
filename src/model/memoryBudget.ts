/**
 * How the memory of a run is shared out. Without the option `memory` the kernels have what WebAssembly can have, and tensors
 * fixed budgets. With it, the model's bytes come off first, and the kernels get at most half of the rest, because the sums that
 * they make are kept outside of their memory, too. What the largest layer leaves is shared by the tensors of a batch in ONNX
 * Runtime, those of a batch that the kernels pack, and those that are held.
 */
import { HELD_BYTES } from '../calibration/streams.js'
import { BATCH_BUDGET, type BatchBudget } from '../calibration/tensorSizes.js'
import type { ModelPlan } from '../options.js'

/** Kept free of the 4 GiB for batches in staging and for the scratch of threads, which no plan of a model knows. */
const SPARE_BYTES = 2 ** 26

/** Share of the kernels in what a limit leaves beside the model. */
const KERNELS = 0.5

/**
 * What a layer takes beyond its plan, in units of that: its observations outside of the kernels, and inside the sums over pixels and
 * over a segment, which depend on the samples.
 */
const OUTSIDE = 0.8

/** What the process takes without a model: its own code, the runtime's, and memory that is free and not given back. */
const PROCESS_BYTES = 2 ** 28

/** Most bytes of the kernels that a layer may take. */
export function mostKernelBytes(memory: number | null, modelBytes: number): number {
  const most = 2 ** 32 - SPARE_BYTES
  return memory === null ? most : Math.min(most, Math.max(0, Math.floor(KERNELS * (memory - modelBytes))))
}

/** Bytes of tensors, by where they are. */
export interface TensorBudget extends BatchBudget {
  /** Held between stages, of all batches. */
  readonly held: number
}

export function tensorBudget({ settings: { memory }, layers, bytesIn }: ModelPlan): TensorBudget {
  const kernels = Math.max(0, ...layers.map(({ memoryBytes }) => memoryBytes))
  const { runtime } = BATCH_BUDGET
  const staged = Math.max(0, 2 ** 32 - SPARE_BYTES - kernels)
  if (memory === null) return { runtime, staged, held: HELD_BYTES }
  const left = Math.max(0, memory - bytesIn - PROCESS_BYTES - (1 + OUTSIDE) * kernels)
  const third = left / 3
  return {
    runtime: Math.min(runtime, third),
    staged: Math.min(staged, third),
    held: Math.min(HELD_BYTES, third),
  }
}
