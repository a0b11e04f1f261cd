/**
 * A run in batches that fit into ONNX Runtime's memory. How much it needs is known but roughly (tensorSizes.ts): where it
 * finds no memory all the same, the run begins again with batches of half the size, down to single samples. The result is
 * the same whatever the batches.
 */
import { cutBatches } from '../calibration/batches.js'
import { saysNoMemory } from '../calibration/runner.js'
import { sampleAxes } from '../calibration/sampleAxes.js'
import type { Shard } from '../calibration/shard.js'
import { inputBytes, samplesIn } from '../calibration/streamTensors.js'
import { GpfqError, outOfMemory, reasonOf } from '../errors.js'
import { HINTS } from '../hints.js'
import type { Note } from '../notes.js'
import type { Feeds, RunnerInput } from '../tensor/tensor.js'

/**
 * Runs `act`, again with smaller batches where memory is lacking.
 * @param place the runner's name, for an error
 * @param act gets the samples, and a note where they are smaller than those that were given
 * @throws GpfqError OUT_OF_MEMORY where single samples do not fit either; what `act` throws
 */
export async function withFittingBatches<T>(
  given: Shard,
  inputs: readonly RunnerInput[],
  place: string,
  act: (shard: Shard, notes: readonly Note[]) => Promise<T>,
): Promise<T> {
  const notes: Note[] = []
  for (let shard = given; ; ) {
    try {
      return await act(shard, notes)
    } catch (error) {
      if (!lacksMemory(error)) throw error
      const batches = [...shard.batches, ...(shard.heldOut ?? [])]
      const canBeCut = sampleAxes(batches, inputs) !== null
      const most = canBeCut ? Math.floor(Math.max(0, ...batches.map(samplesIn)) / 2) : 0
      if (most === 0) throw inWords(error, place, batches)
      shard = cutShard(shard, inputs, most)
      const text = `ONNX Runtime finds no memory for larger batches, so these are of ${most} ${most === 1 ? 'sample' : 'samples'}; the result is the same`
      notes.splice(0, 1, { code: 'BATCHES_CUT', place: null, text })
    }
  }
}

/** The samples in batches of at most so many, where they can be cut. */
export function cutShard(shard: Shard, inputs: readonly RunnerInput[], most: number): Shard {
  const { batches, heldOut = [] } = shard
  const axes = sampleAxes([...batches, ...heldOut], inputs)
  return { ...shard, batches: cutBatches(batches, axes, most), heldOut: cutBatches(heldOut, axes, most) }
}

/** Whether a run of a network found no memory: an error of this library, or one of a runner of the caller's. */
function lacksMemory(error: unknown): boolean {
  if (error instanceof GpfqError)
    return error.code === 'OUT_OF_MEMORY' && error.place.startsWith('ONNX Runtime, running')
  return saysNoMemory(reasonOf(error))
}

function inWords(error: unknown, place: string, batches: readonly Feeds[]): GpfqError {
  if (error instanceof GpfqError) return error
  const bytes = Math.max(0, ...batches.map(inputBytes))
  return outOfMemory(place, bytes, ' for the inputs of a run alone', HINTS['fewer-at-a-time'], error)
}
