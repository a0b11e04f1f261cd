/**
 * The public types of quantizing a layer or a model: options, progress, plan and report. Plain data only. The types of the
 * methods' options follow from the table in src/methods/methods.ts; src/methods/recipe.ts and src/model/settings.ts fill in
 * defaults and check.
 */
import type { Runner } from './calibration/runner.js'
import type { METHOD_TABLE } from './methods/methods.js'
import type { Settings } from './model/settings.js'
import type { WeightHistogram } from './model/weightHistogram.js'
import type { Note } from './notes.js'
import type { Format, Skipped } from './onnx/layer.js'
import type { Model } from './onnx/openModel.js'
import type { Quantizer } from './quantizer.js'
import type { Feeds } from './tensor/tensor.js'

/**
 * `gpfq` greedy path following (2010.15979); `spfq` stochastic path following (2309.10975); `gptq` OPTQ (2210.17323);
 * `qronos` (2505.11695); `beacon` scale-free (2508.20293); `msq` rounding; `frame` sigma-delta on frames, without data
 * (2404.08131). src/methods/methods.ts says what each takes, and one file each beside it what it costs.
 */
export type Method = 'gpfq' | 'spfq' | 'gptq' | 'qronos' | 'beacon' | 'msq' | 'frame'

/** Thresholds λ ≥ 0 in units of weights, or the least share of zeros of each layer, from 0 to below 1. */
export interface Sparsity {
  readonly rule: 'soft' | 'hard' | 'target'
  readonly value: number
}

/** The options of all methods. MethodOptions says which method has which. */
export interface OptionValues {
  /**
   * Every method but frame: passes of coordinate descent after the method, 0 to 1000. Each code is chosen anew given all
   * others, and the output error never rises. Default 0, with preset best 3. For beacon its loops, default 5.
   */
  readonly passes: number
  /** gptq and qronos: λ ≥ 0 added to H, in units of the mean of its diagonal. Default 0.01. */
  readonly damping: number
  /**
   * gpfq, spfq, gptq and qronos: take inputs in descending order of H_tt. Default true for gptq, qronos and, where the
   * radius is searched, gpfq; with a given radius gpfq keeps the order of its papers.
   * Default false for spfq.
   */
  readonly actOrder: boolean
  /** spfq, and random patches with every method: seed of the random numbers, an integer from 0 to 2³² − 1. Default 0. */
  readonly seed: number
  /** spfq: order of the data alignment, 1 to 1000. Default 1, the one-phase algorithm. */
  readonly alignment: number
  /** frame: coefficients a weight, 2 to 64. Default 4. */
  readonly redundancy: number
  /**
   * msq: first move all but at most m weights of each neuron to the ends of its alphabet without changing its outputs on
   * the m samples (2209.03487). Needs fewer samples than inputs. An abort takes effect between neurons.
   */
  readonly preprocess: boolean
  /** gpfq with an odd number of levels: make weights zero that matter little (2201.11113). */
  readonly sparsity: Sparsity
}

/** Names of the options of methods. */
export type OptionName = keyof OptionValues

/** Names of the options of a method, out of the table of methods. */
type OptionsOf<M extends Method> = keyof (typeof METHOD_TABLE)[M]['options'] & OptionName

/** The options K and none of the others, except false for a flag, which asks for nothing. */
type Only<K extends OptionName> = Partial<Pick<OptionValues, K>> & {
  readonly [P in Exclude<OptionName, K>]?: OptionValues[P] extends boolean ? false : never
}

type Preset<M extends Method> = (typeof METHOD_TABLE)[M]['codesOfWeights'] extends true ? 'best' : never

type OptionsWith<More extends OptionName> =
  | {
      [M in Method]: Only<OptionsOf<M> | More> & { readonly method: M; readonly preset?: Preset<M> }
    }[Method]
  | (Only<OptionsOf<'gpfq'> | More> & { readonly method?: never; readonly preset?: never })
  | (Only<OptionsOf<'qronos'> | More> & { readonly method?: never; readonly preset: 'best' })

/**
 * A method with its own options, the same for one layer and for a whole model. Without a name the method is gpfq, with
 * the preset `best` qronos. The preset makes three passes, which is slower and most accurate; beacon keeps its loops.
 *
 * `gpfq`: passes, actOrder, sparsity; `spfq`: passes, actOrder, seed, alignment; `gptq`, `qronos`: passes, actOrder,
 * damping; `beacon`: passes; `msq`: passes, preprocess; `frame`: redundancy, and no preset.
 */
export type MethodOptions = OptionsWith<never>

/** Options of methods whose combination the compiler has not checked: out of a form, a file or a command line. */
export interface AnyMethodOptions extends Partial<OptionValues> {
  readonly method?: Method
  readonly preset?: 'best'
}

/** Inputs and neurons that share one scale: all of a layer, one neuron, or `group` consecutive inputs of one neuron. */
export type ScalePer = 'layer' | 'neuron' | { readonly group: number }

/**
 * The radius α of the alphabet, the largest value it can represent, within each scale's scope:
 * `max` the largest |w|; `median` factor·median|W| of the layer (2010.15979); `mean-max` factor·mean over neurons of
 * ‖w‖∞ (2201.11113); `mse` least weight error over a grid of fractions of the maximum; `search` least output error over
 * the same grid, the method run for each; `value` the number itself.
 */
export type Radius =
  | { readonly rule: 'max' }
  | { readonly rule: 'median'; readonly factor: number }
  | { readonly rule: 'mean-max'; readonly factor: number }
  | { readonly rule: 'mse' }
  | { readonly rule: 'search' }
  | { readonly rule: 'value'; readonly value: number }

/** What can be asked for a whole model besides the method. */
export interface ModelOptions {
  /** Bytes of an ONNX external data file, by the relative path that the model names. */
  readonly readExternalData?: (path: string) => Promise<Uint8Array>
  /** Alphabet size M, 2 to 256: M equally spaced values over [−α, α]. Default 15 (4 bits). */
  readonly levels?: number
  /** Other alphabet sizes for some layers: glob over node or weight names; the last match wins. */
  readonly levelsFor?: readonly { readonly pattern: string; readonly levels: number }[]
  /**
   * Chooses the levels of each layer (2 to 8 bits) by what its output loses, within a budget: the share of the float
   * weights' bytes that the quantized ones may take, above 0 and up to 1. Layers of levelsFor keep theirs.
   */
  readonly targetSize?: number
  /** The same with another budget: bits per weight on average, 2 to 8. */
  readonly targetBits?: number
  /** Default 'neuron'. Not for beacon and frame, which have their own. */
  readonly scalePer?: ScalePer
  /** Default { rule: 'search' }. Not for beacon and frame, which have their own. */
  readonly radius?: Radius
  /** How weights are stored in the file (docs/FORMATS.md). Default 'auto', the smallest that runs at full speed. */
  readonly format?: Format | 'auto'
  /** Most sample rows of one convolution, but one an image at least, spread evenly; 0 takes all. Default 32768. */
  readonly patches?: number
  /**
   * Sample rows of convolutions at random instead (2201.11113): this share of the patches that tile each image without
   * overlap, drawn with replacement by `seed`; above 0, all of them for 1.
   */
  readonly randomPatches?: number
  /** Each channel of a convolution's kernel is its own path, as in 2010.15979, not part of one path. Default false. */
  readonly perChannel?: boolean
  /** Globs over node or weight names: only matching layers are quantized. A glob without a match is an error. */
  readonly include?: readonly string[]
  /** Globs over node or weight names: matching layers stay float. A glob without a match is an error. */
  readonly exclude?: readonly string[]
  /** Add to each bias the mean difference of the layer's outputs in the two networks. Default false. */
  readonly biasCorrection?: boolean
  /** Fold a BatchNormalization directly behind a Conv or Gemm into its weights. Default true. */
  readonly foldBatchNorm?: boolean
}

/** Options of planModel. With randomPatches every method has a seed. */
export type PlanModelOptions = OptionsWith<'seed'> & ModelOptions

/** Options of planModel whose combination the compiler has not checked. */
export type AnyPlanOptions = AnyMethodOptions & ModelOptions

/** What running a plan needs beside it. */
export interface RunOptions {
  /** Batches of calibration inputs by input name; the leading axis of every tensor counts samples. */
  readonly calibration?: Iterable<Feeds> | AsyncIterable<Feeds>
  /** Runs the float and the quantized network on the calibration inputs and checks the written model. */
  readonly runner: Runner
  /** A quantizer to compute on, which stays open; one of its own if left out. */
  readonly quantizer?: Quantizer
  /** Worker threads, at least 1; default what init() says, else all that the machine offers. Not beside a quantizer. */
  readonly threads?: number
  /** Kernels with relaxed SIMD where the runtime has it: can be faster, and bytes differ between machines. Default false. */
  readonly fastMath?: boolean
  readonly signal?: AbortSignal
  /** Called on the way, in order. */
  readonly onProgress?: (event: ProgressEvent) => void
}

/** Options of quantizeModel: how to quantize, and what a run needs. */
export type QuantizeModelOptions = PlanModelOptions & RunOptions

/** What a run tells its caller on the way. */
export type ProgressEvent =
  | { readonly type: 'plan'; readonly layers: number; readonly samples: number }
  | { readonly type: 'layer-start'; readonly index: number; readonly layers: number; readonly name: string }
  /** Share of the whole run that is done, 0 to 1, and what the run does now. */
  | { readonly type: 'progress'; readonly fraction: number; readonly phase: string }
  | {
      readonly type: 'layer-done'
      readonly index: number
      readonly layers: number
      readonly layer: LayerReport
    }
  | { readonly type: 'verify' }

/** What became of one layer. */
export interface LayerReport {
  readonly name: string
  readonly op: 'Conv' | 'Gemm' | 'MatMul'
  readonly weight: string
  readonly inputs: number
  readonly neurons: number
  readonly groups: number
  /** Sample rows that the codes were chosen on, 0 without calibration. */
  readonly samples: number
  readonly levels: number
  readonly format: Format
  /** Why this format (chosen by `auto`, or a fallback from the one asked for). */
  readonly formatReason: string
  /** ‖Y − Ỹ‖ / ‖Y‖ of the layer's outputs in the float and the quantized network, null without calibration. */
  readonly relativeError: number | null
  readonly sqnrDb: number | null
  /** Inputs that are zero in every calibration sample: their weights were rounded. 0 where the method looks at no samples. */
  readonly deadInputs: number
  /**
   * Bits a weight of codes and scales, a code counted as log₂ M bits: what the method itself costs, whatever the format; of
   * frame with its redundancy.
   */
  readonly codeBits: number
  /** Share of weights whose value is zero. */
  readonly zeros: number
  /** Histogram of the float weights over the alphabet; null for frame, whose values have no alphabet. */
  readonly weights: WeightHistogram | null
  readonly bytesIn: number
  readonly bytesOut: number
  readonly seconds: number
}

/**
 * How mixed precision spent its budget. Errors are sums over layers of ‖Y − Ỹ‖² / ‖Y‖², each layer by itself, weighted with
 * the share of them that reaches the layers behind.
 */
export interface PrecisionReport {
  /** Shares of the float weights' bytes, or bits per weight. */
  readonly unit: 'size' | 'bits'
  readonly target: number
  readonly reached: number
  readonly error: number
  /** What other budgets would give, from the smallest alphabets to the largest. */
  readonly curve: readonly { readonly at: number; readonly error: number }[]
}

/** What a run did and what was lost. Plain JSON. */
export interface QuantizeReport {
  /** Of the float model's file, with its external data, and of the quantized one. */
  readonly bytesIn: number
  readonly bytesOut: number
  readonly threads: number
  /** The kernels were those with relaxed SIMD: another machine may choose other codes at near-ties. */
  readonly fastMath: boolean
  readonly runner: string
  /** Every option as the run used it, with defaults filled in. */
  readonly settings: Settings
  readonly foldedBatchNorms: readonly string[]
  readonly layers: readonly LayerReport[]
  readonly skipped: readonly Skipped[]
  readonly notes: readonly Note[]
  /** Null where levels were given. */
  readonly precision: PrecisionReport | null
  readonly seconds: {
    readonly load: number
    readonly calibration: number
    readonly quantization: number
    readonly verify: number
    readonly total: number
  }
  readonly peakMemoryBytes: number
}

/** What is planned for one layer. */
export interface PlanLayer {
  readonly name: string
  readonly op: 'Conv' | 'Gemm' | 'MatMul'
  readonly weight: string
  readonly groups: number
  /** Per group. */
  readonly inputs: number
  /** Per group. */
  readonly neurons: number
  readonly levels: number
  /** The levels were asked for this layer: mixed precision leaves them. */
  readonly fixed: boolean
  /** Inputs that share a scale. */
  readonly blockSize: number
  /** Channels of a group that are paths of their own (2010.15979); 1 for one path through all of them. */
  readonly planes: number
  /** As in the report. */
  readonly codeBits: number
  readonly format: Format
  readonly formatReason: string
  readonly bytesIn: number
  /** Estimate. */
  readonly bytesOut: number
}

/**
 * What quantizeModel does, decided without running anything: plain JSON. With a target size or bits the levels of the layers
 * are those that the choice starts from; the run chooses them by what each layer loses on the samples.
 */
export interface ModelPlan {
  /** Of this format; a plan of another version is refused. */
  readonly version: number
  /** Every option with defaults filled in. */
  readonly settings: Settings
  readonly opset: number
  /** Of the model's file and its external data. */
  readonly bytesIn: number
  readonly foldedBatchNorms: readonly string[]
  readonly layers: readonly PlanLayer[]
  /** Layers in the order in which they are quantized; those of one stage at the same time. */
  readonly stages: readonly { readonly quantize: readonly string[]; readonly replay: boolean }[]
  readonly skipped: readonly Skipped[]
  readonly notes: readonly Note[]
}

/** The result of quantizeModel. */
export interface QuantizeModelResult {
  /** The quantized model, bytes of an .onnx file without external data. */
  readonly model: Uint8Array
  readonly report: QuantizeReport
}

/** The type of quantizeModel. */
export type QuantizeModel = (
  source: Uint8Array | Model,
  options: QuantizeModelOptions,
) => Promise<QuantizeModelResult>
/** The type of planModel. */
export type PlanModel = (source: Uint8Array | Model, options: PlanModelOptions) => Promise<ModelPlan>
