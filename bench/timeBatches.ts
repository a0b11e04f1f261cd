/** Times a float model and its written one in turn, batch by batch: what a process and a page have in common. */
import type { Runner } from '#src/calibration/runner.js'
import { type Speed, timeInTurn } from '#src/calibration/speed.js'
import type { Feeds } from '#src/tensor/tensor.js'

export interface BatchTask {
  readonly threads: number
  readonly batches: readonly Feeds[]
  /** Seconds for each batch. */
  readonly seconds: number
}

/** Timed runs of a batch, at most. The seconds end long before, unless the model is tiny. */
const MOST_RUNS = 1000

/** @param models bytes of the float model and of the written one. @returns for each batch */
export async function timeBatches(
  runner: Runner,
  [float, written]: readonly [Uint8Array, Uint8Array],
  { batches, seconds }: BatchTask,
): Promise<readonly Speed[]> {
  const first = await runner.load(float)
  const second = await runner.load(written)
  const speeds: Speed[] = []
  for (const feeds of batches)
    speeds.push(await timeInTurn(first, second, feeds, { runs: MOST_RUNS, seconds }))
  return speeds
}
