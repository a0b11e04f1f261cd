/** solve, for a stage of a model: the codes of its layers from the observations of all samples. */
import { type Capture, placeOf } from '../calibration/captures.js'
import type { Executor } from '../executor/executor.js'
import type { Observations } from '../methods/observations.js'
import type { LayerSolution, SolveRequest } from '../methods/solution.js'
import { zeroShare } from '../methods/sparse.js'
import type { Note } from '../notes.js'
import type { QuantizedWeight } from '../onnx/layer.js'
import type { SolvedLayer } from '../onnx/network.js'
import type { Stage } from '../onnx/stages.js'
import {
  blindDamping,
  type GuardContext,
  guard,
  isGuarded,
  type Judgement,
  roundingSettings,
} from './guard.js'
import { isJudgeable } from './layerMemory.js'
import { capturesOf } from './observeStage.js'
import type { PlannedLayer, PlannedModel } from './preparedModel.js'
import {
  biasCorrection,
  modelWeights,
  quantizedWeight,
  ROUNDED,
  requestsFor,
  roundedSettings,
} from './requests.js'
import type { Settings } from './settings.js'
import { solveInRanges } from './solveRanges.js'
import type { StageObservations } from './stageObservations.js'
import { type WeightHistogram, weightHistogram } from './weightHistogram.js'

/** A layer once its codes are chosen. */
export interface FinishedLayer extends SolvedLayer {
  readonly planned: PlannedLayer
  /** Sample rows that the codes were chosen on. */
  readonly samples: number
  readonly deadInputs: number
  readonly seconds: number
  readonly zeros: number
  readonly weights: WeightHistogram | null
  /** What samples that are kept out say; null where there are none. */
  readonly judgement: Judgement | null
  /** The weight as rounding gives it, where the layer was judged or is rounded anyway. */
  readonly rounded: QuantizedWeight | null
}

export interface SolvedStage {
  readonly layers: readonly FinishedLayer[]
  readonly notes: readonly Note[]
}

export interface SolveContext {
  readonly signal: AbortSignal | undefined
  readonly onProgress: (fraction: number) => void
  /** Where the samples are that judge the layers; none where they are not judged. */
  readonly judges?: Pick<GuardContext, 'streams' | 'network'> | undefined
  /** Where nothing judges a layer: share of the rows that differ from each other, by which λ is set; undefined for plain paths. */
  readonly distinctRows?: number | undefined
  /** A capture's layers are about to be solved. */
  readonly onCapture?: (capture: Capture) => void
}

/** @throws GpfqError INVALID_DATA, OUT_OF_MEMORY, WORKER_FAILED; the signal's reason */
export async function solveStage(
  planned: PlannedModel,
  stage: Stage,
  observations: StageObservations | null,
  executor: Executor,
  context: SolveContext,
): Promise<SolvedStage> {
  const layers: FinishedLayer[] = []
  const notes: Note[] = []
  const captures = capturesOf(planned, stage)
  if (captures.length === 0) context.onProgress(1)
  for (const [index, capture] of captures.entries()) {
    context.onCapture?.(capture)
    const solved = await solveCapture(planned, capture, observations, executor, {
      ...context,
      onProgress: (share) => context.onProgress((index + share) / captures.length),
    })
    layers.push(...solved.layers)
    notes.push(...solved.notes)
  }
  return { layers, notes }
}

/**
 * The layers whose weights are rounded: they have no samples, and are solved before the first stage.
 * @throws GpfqError OUT_OF_MEMORY, WORKER_FAILED; the signal's reason
 */
export async function solveRounded(
  planned: PlannedModel,
  executor: Executor,
  { signal, onLayer }: { readonly signal: AbortSignal | undefined; readonly onLayer: (name: string) => void },
): Promise<SolvedStage> {
  const layers: FinishedLayer[] = []
  const notes: Note[] = []
  const settings = roundedSettings(planned.plan.settings)
  for (const own of planned.layers.filter(({ rounded }) => rounded !== null)) {
    onLayer(own.name)
    const start = performance.now()
    const place = `layer '${own.name}'`
    const requests = requestsFor(planned.graph, own, settings)
    const options = { recipe: ROUNDED.recipe, signal, place }
    const { solutions, ...solved } = await solveInRanges(executor, null, requests, [own.parts], options)
    const seconds = (performance.now() - start) / 1000
    const layer = finished(own, requests[0]!, solutions[0]!)
    layers.push({ ...layer, samples: 0, deadInputs: 0, judgement: null, rounded: layer.quantized, seconds })
    notes.push(...solved.notes.map((note) => ({ ...note, place })))
  }
  return { layers, notes }
}

/** What the codes of a layer say. */
function finished(
  planned: PlannedLayer,
  request: SolveRequest,
  solution: LayerSolution,
): Pick<FinishedLayer, 'planned' | 'layer' | 'quantized' | 'zeros' | 'weights'> {
  const quantized = quantizedWeight(planned, solution)
  const { values } = quantized
  return {
    ...{ planned, layer: planned.layer, quantized },
    zeros:
      values === undefined
        ? zeroShare(quantized.codes, quantized.levels)
        : values.reduce((zeros, value) => zeros + Number(value === 0), 0) / values.length,
    weights:
      values === undefined ? weightHistogram(modelWeights(planned, request), quantized, planned.layer) : null,
  }
}

async function solveCapture(
  { graph, byName, plan: { settings } }: PlannedModel,
  capture: Capture,
  stage: StageObservations | null,
  executor: Executor,
  { signal, onProgress, judges, distinctRows }: SolveContext,
): Promise<SolvedStage> {
  const start = performance.now()
  const place = placeOf(capture)
  const layersOf = capture.layers.map(({ name }) => byName.get(name)!)
  const observations = stage?.captures.get(layersOf[0]!.name) ?? null
  const plain = layersOf.flatMap((planned) => requestsFor(graph, planned, settings))
  const parts = layersOf.map((planned) => planned.parts)
  const judged = isGuarded(settings) && layersOf.every((planned) => isJudgeable(planned)) ? judges : undefined
  const ridge = judged === undefined ? blindRidge(settings, observations, distinctRows) : 0
  const requests = ridge === 0 ? plain : plain.map((request) => ({ ...request, ridge }))
  const options = { recipe: settings, signal, onProgress, place }
  const solved = await solveInRanges(executor, observations, requests, parts, options)
  const guarded =
    judged !== undefined && observations !== null
      ? await guard(
          { ...judged, settings, executor, signal },
          capture,
          observations,
          { requests, parts },
          layersOf.flatMap((planned) => requestsFor(graph, planned, roundingSettings(settings))),
          solved,
        )
      : null
  const seconds = (performance.now() - start) / 1000 / layersOf.length
  const layers = layersOf.map((planned, i): FinishedLayer => {
    const request = requests[i]!
    const own = finished(planned, request, (guarded ?? solved).solutions[i]!)
    return {
      ...{ ...own, seconds },
      judgement: guarded?.judgements[i] ?? (ridge > 0 ? damped(ridge) : null),
      rounded: guarded && quantizedWeight(planned, guarded.rounded[i]!),
      samples: observations?.rows ?? 0,
      deadInputs: solved.deadInputs,
      ...(settings.biasCorrection &&
        observations !== null && {
          correction: biasCorrection(graph, planned, observations, request, own.quantized),
        }),
    }
  })
  return { layers, notes: solved.notes.map((note) => ({ ...note, place })) }
}

/** λ for layers that nothing judges. */
function blindRidge(
  settings: Settings,
  observations: Observations | null,
  distinctRows: number | undefined,
): number {
  if (distinctRows === undefined || observations === null || !isGuarded(settings)) return 0
  return blindDamping(observations.rows * distinctRows, observations.shape.inputs)
}

const damped = (damping: number): Judgement => ({
  ...{ kept: 'damped path', damping, reasons: ['few rows'], errors: null },
})
