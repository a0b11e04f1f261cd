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

/**
 * Seconds of runs that do not count. V8 compiles WebAssembly quickly first and well later, in threads of its own: on a busy
 * machine the first seconds of a process were up to ten times as slow.
 */
const WARM_UP = 3

/** @param models bytes of the float model and of the written one. @returns for each batch */
export async function timeBatches(
  runner: Runner,
  [float, written]: readonly [Uint8Array, Uint8Array],
  { batches, seconds }: BatchTask,
): Promise<readonly Speed[]> {
  const first = await runner.load(float)
  const second = await runner.load(written)
  const start = performance.now()
  while (performance.now() - start < 1000 * WARM_UP)
    for (const session of [first, second]) await session.run(batches[0]!)
  const speeds: Speed[] = []
  for (const feeds of batches)
    speeds.push(await timeInTurn(first, second, feeds, { runs: MOST_RUNS, seconds }))
  return speeds
}
