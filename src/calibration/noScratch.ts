/** "#scratch" of package.json at the edge, where nothing can be written. */
import type { OpenScratch } from './scratch.js'

export const openScratch: OpenScratch = async () => null
