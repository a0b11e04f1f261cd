/** Which batches hold their tensors within a budget. The others are computed again, whenever a stage needs them. */
import type { Feeds } from '../tensor/tensor.js'
import { inputBytes } from './streamTensors.js'
import type { TensorSizes } from './tensorSizes.js'

/** What holding all tensors would take, and what is done about it. */
export interface StreamPlan {
  /** Most bytes of live tensors of all batches, if all were held. */
  readonly bytes: number
  readonly batches: number
  /** Batches whose tensors are held; the others are computed again. */
  readonly resident: number
}

/**
 * @param batches those of calibration, then those that are kept out of it
 * @param calibration how many are of calibration
 * @param budget bytes
 * @returns keepsJudged: whether batches that are kept out of calibration hold outputs of the model, as far as there is room.
 * The first batch holds them always, for the last check
 */
export function planHeld(
  batches: readonly Feeds[],
  calibration: number,
  { held, results }: Pick<TensorSizes, 'held' | 'results'>,
  budget: number,
): StreamPlan & { readonly keepsJudged: boolean } {
  // Every batch holds as much more as its inputs are larger.
  const sizesOf = (keepsJudged: boolean): readonly number[] =>
    batches.map((feeds, i) => {
      const keeps = i === 0 || (keepsJudged && i >= calibration)
      return (held + (keeps ? results : 0)) * inputBytes(feeds)
    })
  const total = (sizes: readonly number[]): number => sizes.reduce((sum, bytes) => sum + bytes, 0)
  const keepsJudged = total(sizesOf(true)) <= budget
  const sizes = sizesOf(keepsJudged)
  let left = budget
  const full = sizes.findIndex((bytes) => {
    left -= bytes
    return left < 0
  })
  const resident = full < 0 ? batches.length : full
  return { bytes: total(sizes), batches: batches.length, resident, keepsJudged }
}
