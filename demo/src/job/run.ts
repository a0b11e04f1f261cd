/**
 * One run from beginning to end: carry out the plan, round as well to compare, measure the accuracy and compare a few
 * answers. It reports the share of the whole that is done. An abort takes effect between two runs of the network.
 */
import {
  evaluate,
  isDescribed,
  type ProgressEvent,
  type QuantizeReport,
  quantizeModel,
  quantizePlanned,
  type Runner,
  type Store,
} from 'gpfq/onnx'
import type { Accuracy, Evaluation, SampleAnswers } from 'gpfq/report'
import { outputName } from '../command.ts'
import { isRounding, roundingOf } from '../pageSettings.ts'
import { sampleAnswers } from './answers.ts'
import type { Data } from './data.ts'
import { outcomeOf } from './failure.ts'
import { dropKept, kept } from './kept.ts'
import type { ChosenModel } from './model.ts'
import type { RunEvent, RunRequest, RunResult } from './protocol.ts'

export interface RunInputs {
  readonly chosen: ChosenModel
  readonly calibration: Data | null
  readonly test: Data | null
  readonly runner: Runner
  readonly signal: AbortSignal
  readonly onEvent: (event: RunEvent) => void
}

export async function run(
  { plan, settings, compare }: Pick<RunRequest, 'plan' | 'settings' | 'compare'>,
  inputs: RunInputs,
): Promise<RunResult> {
  const { test, calibration, runner, signal } = inputs
  const { model, summary } = inputs.chosen
  const steps = new Steps(inputs.onEvent, {
    quantize: 5,
    round: compare && !isRounding(settings) ? 3 : 0,
    look: test === null && calibration === null ? 0 : 1.5,
  })
  const options = {
    ...{ runner, signal, threads: settings.threads },
    ...(calibration === null ? {} : { calibration: calibration.feeds }),
  }
  const quantized = await keeping((checkpoint) =>
    quantizePlanned(model, plan, { ...options, ...checkpoint, onProgress: steps.listen('quantize', false) }),
  )
  steps.end('quantize')
  let rounded: { model: Uint8Array; report: QuantizeReport } | undefined
  if (steps.has('round')) {
    const onProgress = steps.listen('round', true)
    rounded = await quantizeModel(model, { ...roundingOf(settings), ...options, onProgress })
    steps.end('round')
  }
  // The comparison may fail for wrong labels or lack of memory. The model is kept all the same.
  const looked = await outcomeOf(() =>
    look(inputs, quantized.model, rounded?.model, (share) =>
      steps.progress('look', share, test === null ? 'comparing answers' : 'checking accuracy'),
    ),
  )
  signal.throwIfAborted()
  return {
    model: new Blob([new Uint8Array(quantized.model)], { type: 'application/octet-stream' }),
    document: {
      model: summary.name,
      output: outputName(summary.name, settings),
      report: quantized.report,
      rounded: rounded?.report,
      ...(looked.ok ? looked.value : {}),
    },
    lookFailure: looked.ok ? null : looked.failure,
  }
}

/** Runs with the layers that an earlier tab has kept. Those of another run are dropped. */
async function keeping<T>(act: (options: { readonly checkpoint?: Store }) => Promise<T>): Promise<T> {
  // Pages without encryption have no WebCrypto, which compares the runs.
  if (!isSecureContext) return act({})
  const checkpoint = kept
  const result = await act({ checkpoint }).catch(async (error: unknown) => {
    if (!isDescribed(error) || error.code !== 'CHECKPOINT_DIFFERS') throw error
    await dropKept()
    return act({ checkpoint })
  })
  await dropKept()
  return result
}

/** Measures the accuracy where there are labels, and compares a few answers. */
async function look(
  { chosen, calibration, test, runner, signal }: RunInputs,
  quantized: Uint8Array,
  rounded: Uint8Array | undefined,
  onProgress: (share: number) => void,
): Promise<{ accuracy?: Accuracy; answers: readonly SampleAnswers[] }> {
  const data = test ?? calibration
  if (data === null) return { answers: [] }
  const networks = rounded === undefined ? 2 : 3
  let done = 0
  const accuracyOf = async (network: Uint8Array): Promise<Evaluation | null> => {
    if (test === null || test.labels === null) return null
    const { feeds, labels } = test
    const { samples } = feeds
    const before = done++
    return evaluate({
      runner,
      model: network,
      feeds,
      samples,
      labels,
      signal,
      onProgress: (count, total) => onProgress((before + count / total) / networks),
    })
  }
  const runnable = await chosen.model.runnable()
  const float = await accuracyOf(runnable)
  const own = await accuracyOf(quantized)
  const answers = await answersOf(runner, runnable, quantized, data, signal)
  if (float === null || own === null) return { answers }
  const other = rounded === undefined ? null : await accuracyOf(rounded)
  return { answers, accuracy: { float, quantized: own, rounded: other ?? undefined } }
}

/** Answers of the float and of the quantized network. */
async function answersOf(
  runner: Runner,
  float: Uint8Array,
  quantized: Uint8Array,
  data: Data,
  signal: AbortSignal,
): Promise<readonly SampleAnswers[]> {
  const first = await runner.load(float)
  try {
    const second = await runner.load(quantized)
    try {
      return await sampleAnswers(first, second, data.feeds, data.labels, signal)
    } finally {
      await second.close()
    }
  } finally {
    await first.close()
  }
}

type Step = 'quantize' | 'round' | 'look'

/** Progress of the steps as a share of the whole, reported at most twenty times a second. */
class Steps {
  readonly #onEvent: (event: RunEvent) => void
  readonly #weights: Readonly<Record<Step, number>>
  #last = 0

  constructor(onEvent: (event: RunEvent) => void, weights: Readonly<Record<Step, number>>) {
    this.#onEvent = onEvent
    this.#weights = weights
  }

  has(step: Step): boolean {
    return this.#weights[step] > 0
  }

  end(step: Step): void {
    this.#last = 0
    this.progress(step, 1, 'going on')
  }

  progress(step: Step, share: number, doing: string): void {
    const now = performance.now()
    if (now - this.#last < 50) return
    this.#last = now
    const order: readonly Step[] = ['quantize', 'round', 'look']
    const total = order.reduce((sum, each) => sum + this.#weights[each], 0)
    const before = order.slice(0, order.indexOf(step)).reduce((sum, each) => sum + this.#weights[each], 0)
    this.#onEvent({ type: 'progress', fraction: (before + this.#weights[step] * share) / total, doing })
  }

  listen(step: Step, rounded: boolean): (event: ProgressEvent) => void {
    const prefix = rounded ? 'rounding, to compare: ' : ''
    return (event) => {
      if (event.type === 'progress') this.progress(step, event.fraction, prefix + event.phase)
      else if (event.type === 'resume') this.#onEvent({ type: 'resume' })
      else if (event.type === 'layer-start' && !rounded)
        this.#onEvent({ type: 'layer-start', name: event.name })
      else if (event.type === 'layer-done') this.#onEvent({ type: 'layer-done', rounded, layer: event.layer })
      else if (event.type === 'verify') this.progress(step, 1, `${prefix}checking the written model`)
    }
  }
}
