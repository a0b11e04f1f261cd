/** All that is fuzzed. */
import type { FuzzTarget } from './fuzz.js'
import { modelTarget } from './models.js'

export const TARGETS: readonly FuzzTarget[] = [modelTarget]
