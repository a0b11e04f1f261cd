/** The samples of a run: read, checked against the model before anything runs, and split into those of calibration and those that judge. */
import { eachUntilAborted } from '../aborts.js'
import { checkFeeds } from '../calibration/checkFeeds.js'
import { samenessOf, splitSamples } from '../calibration/heldOut.js'
import { type Shard, wholeShard } from '../calibration/shard.js'
import { samplesOf } from '../calibration/streamTensors.js'
import { typeError } from '../checks.js'
import { GpfqError } from '../errors.js'
import type { Note } from '../notes.js'
import { inputsOf } from '../onnx/openModel.js'
import type { RunOptions } from '../options.js'
import { yieldToEventLoop } from '../platform/yieldToEventLoop.js'
import type { Feeds } from '../tensor/tensor.js'
import { checkBatch, checkBatches } from './arguments.js'
import { givenTensors, withGiven } from './givenInputs.js'
import type { PlannedModel } from './preparedModel.js'

export interface RunSamples {
  readonly shard: Shard
  /** Whether samples are kept out, so that layers are judged on them. */
  readonly isJudged: boolean
  /**
   * Share of the rows that differ from each other, as far as the samples tell: λ follows from it where nothing judges the
   * layers. Undefined where the caller asked for no judging.
   */
  readonly distinctRows: number | undefined
  readonly notes: readonly Note[]
}

/** @throws GpfqError INVALID_DATA; RangeError, TypeError for options; the signal's reason */
export async function readSamples(
  planned: PlannedModel,
  { calibration, test, signal }: Pick<RunOptions, 'calibration' | 'test' | 'signal'>,
): Promise<RunSamples> {
  const { holdout } = planned.plan.settings
  if (test !== undefined && (holdout ?? 0) > 0) {
    const hint = 'leave one out'
    throw typeError({ place: 'holdout', expected: 'none together with test', got: String(holdout), hint })
  }
  const all = await read('calibration', planned, calibration, signal)
  const tests = await read('test', planned, test, signal)
  const total = samplesOf(all)
  if (calibration !== undefined && total === 0) throw noSample('calibration')
  if (test !== undefined && samplesOf(tests) === 0) throw noSample('test')
  const sameness = total > 0 ? samenessOf(all) : 'different'
  const own = test === undefined && sameness === 'different' ? holdout : 0
  const split = splitSamples(all, own, inputsOf(planned.float.float))
  const heldOut = test === undefined ? split.heldOut : tests
  const distinct = { different: 1, equal: 1 / Math.max(1, total), constant: 0 }
  return {
    shard: wholeShard(split.calibration, heldOut),
    isJudged: heldOut.length > 0,
    distinctRows: holdout === 0 ? undefined : distinct[sameness],
    notes:
      sameness === 'different' || (sameness === 'equal' && total === 1) ? [] : [sameNote(sameness, total)],
  }
}

const noSample = (place: string): GpfqError =>
  new GpfqError('INVALID_DATA', { place, expected: 'at least one sample', got: 'none' })

/** Batches as they come. */
async function read(
  what: string,
  { float, plan }: PlannedModel,
  source: RunOptions['calibration'],
  signal: AbortSignal | undefined,
): Promise<readonly Feeds[]> {
  if (source === undefined) return []
  checkBatches(what, source)
  const given = givenTensors(plan.inputs)
  const inputs = inputsOf(float.float)
  const batches: Feeds[] = []
  for await (const batch of eachUntilAborted(signal, source)) {
    const place = `${what}, batch ${batches.length + 1}`
    checkBatch(place, batch)
    const feeds = withGiven(place, batch, given)
    checkFeeds(place, feeds, inputs)
    batches.push(feeds)
    await yieldToEventLoop()
  }
  return batches
}

const sameNote = (sameness: 'equal' | 'constant', samples: number): Note => ({
  code: 'SAMPLES_ALIKE',
  place: null,
  text:
    sameness === 'constant'
      ? 'every value of the calibration samples is the same, so they say nothing of the weights; use real inputs'
      : `all ${samples} calibration samples are equal, so they count as one; use samples that differ`,
})
