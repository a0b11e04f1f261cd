/** Which rows of the samples a layer is calibrated on. */
import type { CaptureRule } from '../calibration/captures.js'
import { needsWholeG } from '../methods/solve.js'
import type { Settings } from './settings.js'

/** How rows are taken for these settings. */
export function captureRule(settings: Settings): CaptureRule {
  const { patches, randomPatches, biasCorrection, sampleWeights, preprocess } = settings
  return {
    patches,
    random: randomPatches === null ? null : { share: randomPatches, seed: settings.seed ?? 0 },
    wholeG: needsWholeG(settings, settings.radius.rule === 'search'),
    means: biasCorrection,
    // The vertex walk keeps the rows themselves, whose sizes do not matter to it.
    weighted: sampleWeights === 'norm' && !preprocess,
  }
}
