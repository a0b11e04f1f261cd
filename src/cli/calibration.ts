/** The reason why a run needs calibration samples, in the names of the command line. */
import { METHODS, methodEntry } from '../methods/methods.js'
import type { Settings } from '../model/settings.js'

/**
 * @param settings for which needsCalibration is true
 * @returns the end of a sentence about calibration samples
 */
export function calibrationReason(settings: Settings): string {
  const { method, radius, passes, preprocess, targetSize, targetBits } = settings
  const { activations, biasCorrection } = settings
  const needing = [
    ...(passes > 0 ? ['--passes'] : []),
    ...(preprocess ? ['--preprocess'] : []),
    ...(targetSize !== null ? ['--target-size'] : []),
    ...(targetBits !== null ? ['--target-bits'] : []),
    ...(activations !== null ? ['--activations'] : []),
    ...(biasCorrection ? ['--bias-correction'] : []),
  ]
  const { needsSamples, ownScales } = methodEntry(method)
  const searching = !ownScales && radius.rule === 'search'
  return !needsSamples && !searching && needing.length > 0
    ? `${needing.join(' and ')} ${needing.length === 1 ? 'needs' : 'need'} them`
    : `only ${methodsWithout()} can do without`
}

/** The methods that take no samples; a method that does not find its scales takes them for the radius `search`. */
function methodsWithout(): string {
  const methods = METHODS.filter((method) => !methodEntry(method).needsSamples)
  const own = methods.filter((method) => methodEntry(method).ownScales)
  const others = methods.filter((method) => !methodEntry(method).ownScales)
  return [
    ...own.map((method) => `--method ${method}`),
    ...others.map((method) => `and --method ${method} with a radius other than search,`),
  ].join(', ')
}
