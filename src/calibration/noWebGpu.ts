/** What package.json's "#webGpu" means outside of pages. */
import type { openWebGpu as Open } from './pageWebGpu.js'

export const openWebGpu: typeof Open = null
