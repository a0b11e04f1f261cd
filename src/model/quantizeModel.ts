/**
 * The main job: an ONNX model and calibration samples in, a smaller ONNX model and a report of what was lost out. Plan,
 * then stage by stage: run both streams up to the next layers, choose their codes, go on with the quantized weights.
 * At the end the written model is loaded back and must compute what the quantized stream computed.
 */
import {
  type Capture,
  type CapturedSamples,
  captureSamples,
  groupByCapture,
  shapeWithoutSamples,
} from '../calibration/captures.js'
import { checkFeeds } from '../calibration/checkFeeds.js'
import { MeanDifference, OutputError, sqnrDb } from '../calibration/outputError.js'
import { type OutputPair, type RunContext, type StreamPlan, Streams } from '../calibration/streams.js'
import { verifyModel } from '../calibration/verify.js'
import { GpfqError } from '../errors.js'
import { createExecutor } from '../executor/choose.js'
import type { Executor } from '../executor/executor.js'
import { dequantize, zeroPoint } from '../methods/alphabet.js'
import { Correlations } from '../methods/correlations.js'
import { needsSamples } from '../methods/recipe.js'
import type { Solution, SolveRequest } from '../methods/solution.js'
import { zeroShare } from '../methods/sparse.js'
import { correctBiases, neuronAxis, withNodeNames } from '../onnx/biasCorrection.js'
import type { Layer, QuantizedWeight } from '../onnx/layer.js'
import { encodeModel } from '../onnx/model.js'
import { inputsOf } from '../onnx/openModel.js'
import { planStages, type Stage } from '../onnx/stages.js'
import { writeQuantized } from '../onnx/writeQuantized.js'
import type {
  LayerReport,
  PrecisionReport,
  QuantizeModel,
  QuantizeModelOptions,
  QuantizeReport,
} from '../options.js'
import { yieldToEventLoop } from '../platform/yieldToEventLoop.js'
import { applyBudget, checkBudget, hasBudget } from '../precision/budget.js'
import { surveyErrors } from '../precision/survey.js'
import type { Feeds } from '../tensor/tensor.js'
import { VERSION } from '../version.js'
import { firstPlanes, type PlannedLayer, type PreparedModel, prepareModel, solveRequest } from './plan.js'
import { needsCalibration } from './settings.js'
import { type WeightHistogram, weightHistogram } from './weightHistogram.js'

export { planModel } from './plan.js'

/** What is known of a layer once its codes are chosen. */
interface Finished {
  readonly planned: PlannedLayer
  readonly quantized: QuantizedWeight
  readonly samples: number
  readonly form: LayerReport['form']
  readonly deadInputs: number
  readonly seconds: number
  readonly error: OutputError
  readonly weights: WeightHistogram | null
}

/**
 * Quantizes a model. The input bytes are not changed.
 * @throws GpfqError (see its codes), TypeError and RangeError for options, the signal's reason when aborted; nothing is
 * half-written, for nothing is written here at all.
 */
export const quantizeModel: QuantizeModel = async (bytes, options) => {
  const start = performance.now()
  options.signal?.throwIfAborted()
  const prepared = await prepareModel(bytes, options)
  if (options.calibration === undefined && needsCalibration(prepared.settings)) {
    throw new TypeError(
      'calibration: expected batches of inputs, got none; only method frame, and method msq with any radius but search, can do ' +
        'without, and neither bias correction nor a target for the levels',
    )
  }
  const executor = await createExecutor(options)
  try {
    const run = new ModelRun(prepared, executor, options)
    return await run.carryOut(start)
  } finally {
    await executor.close()
  }
}

class ModelRun {
  #prepared: PreparedModel
  #precision: PrecisionReport | null = null
  /** Share of the progress that was made before the stages began. */
  #before = 0
  readonly #executor: Executor
  readonly #options: QuantizeModelOptions
  readonly #finished = new Map<string, Finished>() // by layer name
  readonly #corrections = new Map<string, Float32Array>() // layer name → (groups·neurons)
  readonly #notes: string[] = []
  readonly #reported = new Set<string>()
  readonly #seconds = { load: 0, calibration: 0, quantization: 0, verify: 0 }

  constructor(prepared: PreparedModel, executor: Executor, options: QuantizeModelOptions) {
    this.#prepared = prepared
    this.#executor = executor
    this.#options = options
  }

  async carryOut(start: number): Promise<{ model: Uint8Array; report: QuantizeReport }> {
    const { onProgress, calibration, runner } = this.#options
    const { graph, model, settings } = this.#prepared
    this.#seconds.load = (performance.now() - start) / 1000
    if (settings.method === 'frame') this.#notes.push(FRAME_NOTE)
    if (this.#options.fastMath === true) this.#notes.push(fastMathNote(this.#executor.fastMath))
    const batches = await this.#readCalibration()
    const samples = batches.reduce((sum, feeds) => sum + batchSize(feeds), 0)
    if (calibration !== undefined && samples === 0) {
      throw new GpfqError('INVALID_DATA', 'calibration: expected at least one sample, got none')
    }
    onProgress?.({ type: 'plan', layers: this.#prepared.layers.length, samples })

    const stages = planStages(
      graph,
      this.#prepared.layers.map(({ layer }) => layer),
    )
    if (hasBudget(settings)) {
      checkBudget(this.#prepared)
      await this.#chooseLevels(batches, stages)
    }
    const streams = new Streams(
      runner,
      settings.biasCorrection ? withNodeNames(model) : model,
      batches,
      stages,
    )
    try {
      if (batches.length > 0) await this.#runStages(streams)
      else await this.#solveFromWeights()
      return await this.#write(streams, start)
    } finally {
      await streams.close()
    }
  }

  /** Batches as they come, checked against the model's inputs before anything runs. */
  async #readCalibration(): Promise<Feeds[]> {
    const { calibration, signal } = this.#options
    if (calibration === undefined) return []
    const inputs = inputsOf(this.#prepared.model)
    const batches: Feeds[] = []
    for await (const feeds of calibration) {
      signal?.throwIfAborted()
      checkFeeds(`calibration, batch ${batches.length + 1}`, feeds, inputs)
      batches.push(feeds)
      await yieldToEventLoop()
    }
    return batches
  }

  /** Layers whose method looks at no samples. */
  async #solveFromWeights(): Promise<void> {
    const { layers } = this.#prepared
    for (const [index, planned] of layers.entries()) {
      this.#announceStart(planned)
      await this.#timed('quantization', () =>
        this.#solve({ layers: [planned], uses: [] }, null, (share) =>
          this.#options.onProgress?.({
            type: 'progress',
            fraction: (index + share) / layers.length,
            phase: 'choosing codes',
          }),
        ),
      )
      this.#announce(planned)
    }
  }

  /** Writes the model, loads it back, and says what was done. */
  async #write(streams: Streams, start: number): Promise<{ model: Uint8Array; report: QuantizeReport }> {
    const { signal, onProgress, runner } = this.#options
    const { graph, model, settings, layers, bytesIn } = this.#prepared
    const written = writeQuantized(
      model,
      layers.map((planned) => ({
        layer: planned.layer,
        quantized: this.#of(planned).quantized,
        format: planned.format,
      })),
      this.#corrections,
      VERSION,
    )
    const output = encodeModel(written.model)
    signal?.throwIfAborted()
    onProgress?.({ type: 'verify' })
    await this.#timed('verify', () => verifyModel(output, runner, streams, graph))
    const reports = layers.map((planned) => this.#report(planned, written.bytes.get(planned.layer.name) ?? 0))
    return {
      model: output,
      report: {
        bytesIn,
        bytesOut: output.length,
        threads: this.#executor.threads,
        fastMath: this.#executor.fastMath,
        runner: runner.name,
        settings: { ...settings },
        foldedBatchNorms: this.#prepared.foldedBatchNorms,
        layers: reports,
        skipped: this.#prepared.skipped,
        notes: [...this.#prepared.notes, ...this.#notes],
        precision: this.#precision,
        seconds: { ...this.#seconds, total: (performance.now() - start) / 1000 },
        peakMemoryBytes: this.#executor.peakMemoryBytes + streams.peakBytes,
      },
    }
  }

  /** Mixed precision: the levels of each layer, from what it loses at 2 to 8 bits. */
  async #chooseLevels(batches: readonly Feeds[], stages: readonly Stage[]): Promise<void> {
    const { runner, signal, onProgress } = this.#options
    await this.#timed('quantization', async () => {
      const errors = await surveyErrors(this.#prepared, this.#executor, runner, batches, stages, {
        signal,
        onProgress: (fraction) =>
          onProgress?.({ type: 'progress', fraction: 0.5 * fraction, phase: 'trying 2 to 8 bits' }),
      })
      const { prepared, report } = applyBudget(this.#prepared, errors)
      this.#prepared = prepared
      this.#precision = report
      this.#before = 0.5
    })
  }

  async #runStages(streams: Streams): Promise<void> {
    const { layers, settings } = this.#prepared
    const byName = new Map(layers.map((planned) => [planned.layer.name, planned]))
    await this.#timed('calibration', async () => this.#noteMemory(await streams.plan()))
    for (const index of streams.stages.keys()) {
      const progress = (share: number, phase: string): void =>
        this.#options.onProgress?.({
          type: 'progress',
          fraction: this.#before + ((1 - this.#before) * (index + share)) / streams.stages.length,
          phase,
        })
      const context = {
        signal: this.#options.signal,
        onProgress: (fraction: number) => progress(0.5 * fraction, 'running both networks'),
      }
      await this.#timed('calibration', () => streams.advance((pair) => this.#measure(pair), context))
      const stage = streams.stages[index]!
      this.#announceMeasured(stage)
      const planned = stage.quantize.map((layer) => byName.get(layer.name)!)
      await this.#timed('quantization', () =>
        this.#quantize(planned, streams, (share) => progress(0.5 + 0.5 * share, 'choosing codes')),
      )
      if (settings.biasCorrection) {
        for (const layer of stage.quantize) {
          await this.#timed('calibration', () => this.#correctBias(layer, streams, context))
        }
      }
      progress(1, 'choosing codes')
      if (stage.replay) {
        await this.#timed('calibration', () => streams.replay({ ...context, onProgress: () => {} }))
      }
      await streams.release()
    }
    for (const planned of layers) this.#announce(planned)
  }

  #noteMemory({ bytes, batches, resident }: StreamPlan): void {
    if (resident === batches) return
    this.#notes.push(
      `calibration tensors need ${Math.ceil(bytes / 2 ** 20)} MiB: ${batches - resident} of ${batches} batches are ` +
        'recomputed at every stage instead of held, which is slower; fewer --samples avoid it',
    )
  }

  /** Chooses the codes of layers whose samples are there. */
  async #quantize(
    layers: readonly PlannedLayer[],
    streams: Streams,
    onProgress: (share: number) => void,
  ): Promise<void> {
    const { settings } = this.#prepared
    const searching = settings.radius.rule === 'search'
    const captures = groupByCapture(layers)
    for (const [index, capture] of captures.entries()) {
      for (const planned of capture.layers) this.#announceStart(planned)
      const samples = captureSamples(capture, streams, settings, settings, searching)
      await this.#solve(capture, samples, (share) => onProgress((index + share) / captures.length))
      for (const { layer } of capture.layers) streams.weights.set(layer.name, this.#values(layer))
    }
  }

  async #solve(
    { layers }: Capture,
    samples: CapturedSamples | null,
    onProgress: (share: number) => void,
  ): Promise<void> {
    const { settings } = this.#prepared
    const requests = layers.map((planned) => solveRequest(this.#prepared, planned.layer, planned.levels))
    const place = layers.map(({ layer }) => `layer '${layer.name}'`).join(', ')
    const shape = samples?.shape ?? shapeWithoutSamples(layers[0]!, settings)
    const { solutions, plan, deadInputs, notes, seconds } = await this.#executor.quantizeSamples(
      shape,
      samples?.batches ?? (() => []),
      requests,
      {
        signal: this.#options.signal,
        onProgress,
        form: needsSamples(settings) || settings.radius.rule === 'search' ? undefined : 'none',
        place,
        Correlations,
      },
    )
    for (const note of notes) this.#notes.push(`${place}: ${note}`)
    for (const [i, planned] of layers.entries()) {
      this.#finish(planned, requests[i]!, solutions[i]!, {
        samples: plan.form === 'none' && !settings.preprocess ? 0 : shape.samples,
        form: plan.form,
        deadInputs,
        seconds: seconds / layers.length,
      })
    }
  }

  #finish(
    planned: PlannedLayer,
    { levels, scales, weights }: SolveRequest,
    solution: Solution,
    facts: Pick<Finished, 'samples' | 'form' | 'deadInputs' | 'seconds'>,
  ): void {
    const quantized = {
      levels,
      codes: solution.codes,
      scales: planned.planes === 1 ? solution.scales : firstPlanes(solution.scales, planned),
      blockSize: planned.planes === 1 ? scales.blockSize : planned.layer.inputs,
      zero: zeroPoint(levels),
      ...(solution.values === undefined ? {} : { values: solution.values }),
    }
    this.#finished.set(planned.layer.name, {
      planned,
      quantized,
      error: new OutputError(),
      weights: solution.values === undefined ? weightHistogram(weights, quantized, planned.layer) : null,
      ...facts,
    })
  }

  #of({ layer }: PlannedLayer): Finished {
    return this.#finished.get(layer.name)!
  }

  /** The quantized values of a layer, (groups, inputs, neurons). */
  #values(layer: Layer): Float32Array {
    return dequantize(this.#finished.get(layer.name)!.quantized, layer)
  }

  #measure({ tensor, float, quantized }: OutputPair): void {
    for (const { planned, error } of this.#finished.values()) {
      if (planned.layer.uses.some(({ output }) => output === tensor)) error.add(float, quantized)
    }
  }

  async #correctBias(layer: Layer, streams: Streams, context: RunContext): Promise<void> {
    const difference = new MeanDifference(layer.groups * layer.neurons)
    const outputs = layer.uses.map(({ output }) => output)
    const inputs = layer.uses.map(({ input }) => input)
    const axis = new Map(layer.uses.map((use) => [use.output, neuronAxis(layer.op, use.sampling)]))
    await streams.probe(
      outputs,
      inputs,
      ({ tensor, float, quantized }) => difference.add(float, quantized, axis.get(tensor)!),
      context,
    )
    const correction = difference.means()
    this.#corrections.set(layer.name, correction)
    streams.quantizedModel = correctBiases(streams.quantizedModel, layer, correction)
  }

  async #timed(what: 'calibration' | 'quantization' | 'verify', act: () => Promise<unknown>): Promise<void> {
    const start = performance.now()
    await act()
    this.#seconds[what] += (performance.now() - start) / 1000
  }

  #announceStart({ layer }: PlannedLayer): void {
    const { layers } = this.#prepared
    const index = layers.findIndex((planned) => planned.layer === layer)
    this.#options.onProgress?.({ type: 'layer-start', index, layers: layers.length, name: layer.name })
  }

  #announceMeasured(stage: Stage): void {
    for (const planned of this.#prepared.layers) {
      if (planned.layer.uses.some(({ output }) => stage.measured.includes(output))) this.#announce(planned)
    }
  }

  #announce(planned: PlannedLayer): void {
    const { layers } = this.#prepared
    if (this.#reported.has(planned.layer.name)) return
    this.#reported.add(planned.layer.name)
    const index = layers.indexOf(planned)
    const layer = this.#report(planned, planned.bytesOut)
    this.#options.onProgress?.({ type: 'layer-done', index, layers: layers.length, layer })
  }

  #report(planned: PlannedLayer, bytesOut: number): LayerReport {
    const { layer, levels, format, formatReason, bytesIn } = planned
    const { samples, form, deadInputs, seconds, error, weights, quantized } = this.#of(planned)
    const relativeError = error.relative
    return {
      name: layer.name,
      op: layer.op,
      weight: layer.weight,
      inputs: layer.inputs,
      neurons: layer.neurons,
      groups: layer.groups,
      samples,
      form,
      levels,
      format,
      formatReason,
      relativeError,
      sqnrDb: relativeError === null ? null : sqnrDb(relativeError),
      deadInputs,
      codeBits: planned.codeBits,
      zeros:
        quantized.values === undefined
          ? zeroShare(quantized.codes, levels)
          : quantized.values.reduce((zeros, value) => zeros + Number(value === 0), 0) /
            quantized.values.length,
      weights,
      bytesIn,
      bytesOut,
      seconds,
    }
  }
}

const FRAME_NOTE =
  'frame: the file holds float32 values, as large as before; bits are what the codes and scales behind them would take'

const fastMathNote = (used: boolean): string =>
  used
    ? 'fastMath: codes at near-ties may differ from those of another machine, and from those without it'
    : 'fastMath: expected a runtime with relaxed SIMD, got one without or with a faulty one; the standard kernels ran'

const batchSize = (feeds: Feeds): number => Object.values(feeds)[0]?.dims[0] ?? 0
