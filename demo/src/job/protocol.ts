/**
 * Messages between the page and its worker: plain data, Files and Blobs, which a structured clone can copy. The worker
 * reads, plans and computes; the page asks and shows.
 */

import type { Layout } from 'gpfq/data'
import type { Format, LayerReport, Method, ModelPlan, Radius, RunnerInput, ScalePer } from 'gpfq/onnx'
import type { ReportDocument } from 'gpfq/report'

/** What the visitor chooses, as it stands in the form. */
export interface PageSettings {
  readonly method: Method | 'best'
  /** Null leaves it to the method. */
  readonly passes: number | null
  /** Null leaves it to the method. */
  readonly damping: number | null
  readonly actOrder: boolean | null
  /** Share of weights that shall become zero, of gpfq; null for as many as come. */
  readonly zeros: number | null
  readonly bits: number
  /** Exact number of values; null goes by the bits. */
  readonly levels: number | null
  /** Most bytes of the weights, in percent of the float ones; bits are then chosen by layer. Null without a target. */
  readonly targetPercent: number | null
  /** Other sizes for layers whose name matches; the last match wins. */
  readonly levelsFor: readonly { readonly pattern: string; readonly levels: number }[]
  readonly scalePer: ScalePer
  readonly radius: Radius
  readonly format: Format | 'auto'
  readonly patches: number
  readonly include: readonly string[]
  readonly exclude: readonly string[]
  /** Quantize activations to 8 bits as well. */
  readonly integers: boolean
  readonly biasCorrection: boolean
  readonly foldBatchNorm: boolean
  readonly threads: number
  /** Networks run on the GPU. */
  readonly gpu: boolean
}

/** How data becomes a network's input: (x / scale − mean) / std. */
export interface Preprocessing {
  readonly scale: number | null
  readonly mean: readonly number[]
  readonly std: readonly number[]
  readonly layout: Layout | null
  readonly samples: number
}

export interface ModelSummary {
  readonly name: string
  /** Of the model file and its external data. */
  readonly bytes: number
  readonly inputs: readonly RunnerInput[]
  readonly externalData: readonly string[]
}

export interface DataSummary {
  readonly name: string
  readonly samples: number
  readonly available: number
  readonly notes: readonly string[]
  /** Bytes go as they are into an input of floats: a division is probably missing. */
  readonly unscaled: boolean
  /** Labels found with the data. */
  readonly labels: string | null
}

/** An error that can be shown: what went wrong in plain words, and the exact words behind it. */
export interface Failure {
  readonly code: string
  readonly title: string
  readonly detail: string
}

export type Outcome<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly failure: Failure }

/** Files that the visitor chose, under a number that no other choice has: a worker opens them once, a new worker again. */
export interface Chosen {
  readonly id: number
  readonly files: readonly File[]
}

export interface ChosenData extends Chosen {
  readonly preprocessing: Preprocessing
}

export interface RunRequest {
  readonly model: Chosen
  readonly calibration: ChosenData | null
  readonly test: ChosenData | null
  /** The plan that the page shows. The run carries it out. */
  readonly plan: ModelPlan
  /** The settings that the plan was made from. */
  readonly settings: PageSettings
  /** Round as well, to compare. */
  readonly compare: boolean
}

export interface RunResult {
  readonly model: Blob
  readonly document: ReportDocument
  /** Why answers could not be compared, if so; the model is as good without. */
  readonly lookFailure: Failure | null
}

export type RunEvent =
  /** Share of the whole that is done, and what is going on. */
  | { readonly type: 'progress'; readonly fraction: number; readonly doing: string }
  /** Layers that an earlier tab has kept are taken over. */
  | { readonly type: 'resume' }
  | { readonly type: 'layer-start'; readonly name: string }
  | { readonly type: 'layer-done'; readonly rounded: boolean; readonly layer: LayerReport }

/** Questions carry the files that they are about, so that a new worker can answer them as well. */
export interface JobApi {
  /** Answers when the worker holds the lock of its own name, which it keeps as long as it lives. */
  holdLock(): Promise<void>
  openModel(model: Chosen): Promise<Outcome<ModelSummary>>
  plan(model: Chosen, settings: PageSettings): Promise<Outcome<ModelPlan>>
  openCalibration(model: Chosen, data: ChosenData): Promise<Outcome<DataSummary>>
  openTest(model: Chosen, data: ChosenData): Promise<Outcome<DataSummary>>
  run(request: RunRequest, onEvent: (event: RunEvent) => void): Promise<Outcome<RunResult>>
  /** Ends the run between two runs of the network. */
  cancel(): void
}
