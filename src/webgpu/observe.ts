/**
 * observe on a GPU (src/methods/observe.ts is that of wasm): H and G of patches and dense layers in float32. Convolutions are summed
 * as patches, since a GPU forms them while it reads. Sums of integers, of weighted rows, of means and rows themselves are left to wasm.
 */
import type { Observations } from '../methods/observations.js'
import type { Batches, ObserveOptions } from '../methods/observeOptions.js'
import { checkFinite } from '../methods/sampleChecks.js'
import type { SampleShape } from '../methods/samplePlan.js'
import { sumUp } from '../methods/sumUp.js'
import { GpuSums, largestBuffer } from './gpuSums.js'

/** Whether the sums are for a GPU with these limits. */
export function isForGpu(
  shape: SampleShape,
  { kind = 'gram' }: ObserveOptions,
  { maxStorageBufferBindingSize, maxBufferSize }: GPUSupportedLimits,
): boolean {
  const { scale = 0, means, weighted = false } = shape
  const most = Math.min(maxStorageBufferBindingSize, maxBufferSize)
  return kind === 'gram' && scale === 0 && !means && !weighted && largestBuffer(shape) <= most
}

/**
 * Sums what the samples say about a layer's inputs.
 * @param shape for which isForGpu holds
 * @throws GpfqError INVALID_DATA; Error of the device; the signal's reason when aborted
 */
export async function observeOnGpu(
  device: GPUDevice,
  shape: SampleShape,
  batches: Batches,
  options: ObserveOptions,
): Promise<Observations> {
  const { correlation: _, ...patches } = shape
  // Not by error scopes: they are a stack of the device, which ONNX Runtime uses as well.
  let failure: string | null = null
  const note = ({ error }: GPUUncapturedErrorEvent): void => {
    failure ??= error.message
  }
  device.addEventListener('uncapturederror', note)
  const sums = await GpuSums.create(device, patches)
  let found: Observations
  try {
    found = await sumUp(sums, patches, stoppable(batches, options.signal), options)
  } finally {
    sums.close()
    device.removeEventListener('uncapturederror', note)
  }
  if (failure !== null) throw new Error(failure)
  checkFinite(found, options.place)
  return found
}

/** An abort takes effect between batches. */
async function* stoppable(batches: Batches, signal: AbortSignal | undefined): Batches {
  for await (const batch of batches) {
    signal?.throwIfAborted()
    yield batch
  }
}
