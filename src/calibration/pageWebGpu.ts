/** What package.json's "#webGpu" means in a page: the runner on the GPU, loaded only where there is an adapter. */
import type { Runner } from './runner.js'

/** Opens the runner; null where the browser gives no adapter. @param fallBack creates a runner for what does not run there */
type OpenWebGpu = (fallBack: () => Promise<Runner>) => Promise<Runner | null>

export const openWebGpu: OpenWebGpu | null = async (fallBack) => {
  const gpu: GPU | undefined = navigator.gpu
  const adapter = (await gpu?.requestAdapter()) ?? null
  if (adapter === null) return null
  const { createWebGpuRunner } = await import('./webGpuRunner.js')
  return createWebGpuRunner(adapter.info, fallBack)
}
