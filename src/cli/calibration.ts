/** Why a run needs calibration samples, in the names of the command line. */
import type { Settings } from '../model/settings.js'

/** For settings of which needsCalibration is true. */
export function calibrationReason(settings: Settings): string {
  const { method, radius, passes, preprocess, targetSize, targetBits, biasCorrection } = settings
  const needing = [
    ...(passes > 0 ? ['--passes'] : []),
    ...(preprocess ? ['--preprocess'] : []),
    ...(targetSize !== null ? ['--target-size'] : []),
    ...(targetBits !== null ? ['--target-bits'] : []),
    ...(biasCorrection ? ['--bias-correction'] : []),
  ]
  const rounds = (method === 'msq' && radius.rule !== 'search') || method === 'frame'
  return rounds && needing.length > 0
    ? `${needing.join(' and ')} ${needing.length === 1 ? 'needs' : 'need'} them`
    : 'only --method frame, and --method msq with a radius other than search, can do without'
}
