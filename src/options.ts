/**
 * The public types for quantizing a layer or a model: options, progress, plan and report. All are plain data. The types of
 * the methods' options follow from the table in src/methods/methods.ts; src/methods/recipe.ts and src/model/settings.ts fill
 * in defaults and check.
 */
import type { Runner } from './calibration/runner.js'
import type { Speed } from './calibration/speed.js'
import type { VerifiedOutput } from './calibration/verify.js'
import type { METHOD_TABLE } from './methods/methods.js'
import type { Store } from './model/checkpoint/store.js'
import type { Cluster } from './model/clusterSteps.js'
import type { GivenInput } from './model/givenInputs.js'
import type { Judgement } from './model/guard.js'
import type { OutputDifference } from './model/outputDifference.js'
import type { Settings } from './model/settings.js'
import type { WeightHistogram } from './model/weightHistogram.js'
import type { Note } from './notes.js'
import type { RangeKind } from './onnx/activations/integers.js'
import type { FloatAccount } from './onnx/floatAccount.js'
import type { Format, LayerOp, Skipped } from './onnx/layer.js'
import type { Model } from './onnx/openModel.js'
import type { Quantizer } from './quantizer.js'
import type { Feeds } from './tensor/tensor.js'

/**
 * `gpfq` greedy path following (2010.15979); `spfq` stochastic path following (2309.10975); `gptq` OPTQ (2210.17323);
 * `qronos` (2505.11695); `beacon` scale-free (2508.20293); `msq` rounding; `frame` sigma-delta on frames, without data
 * (2404.08131). src/methods/methods.ts lists the options of each; the file of each method beside it states its cost.
 */
export type Method = 'gpfq' | 'spfq' | 'gptq' | 'qronos' | 'beacon' | 'msq' | 'frame'

/** A threshold λ ≥ 0 in units of weights (soft, hard), or the least share of zeros in each layer, from 0 to below 1 (target). */
export interface Sparsity {
  readonly rule: 'soft' | 'hard' | 'target'
  readonly value: number
}

/** The options of all methods. MethodOptions lists those of each method. */
export interface OptionValues {
  /**
   * Every method but frame: passes of coordinate descent after the method, 0 to 1000. A pass chooses each code again, given
   * all others; the output error never rises. Default 0, with preset best 3. For beacon these are its loops, default 5.
   */
  readonly passes: number
  /**
   * Every method but frame: a ridge λ ≥ 0 in units of the mean of diag H. gptq and qronos add it to what they factor, default
   * 0.01. The others add it to H and G, so that path, passes and searched scales minimize ‖XW − XqQ‖² + λ‖W − Q‖²; default 0.
   * It changes nothing where msq has no passes and no search.
   */
  readonly damping: number
  /**
   * gpfq, spfq, gptq and qronos: take inputs in descending order of H_tt. Default true for gptq and qronos, and for gpfq
   * where the radius is searched. Default false for spfq, and for gpfq with a given radius, as in its papers.
   */
  readonly actOrder: boolean
  /** spfq, and every method with random patches: seed of the random numbers, an integer from 0 to 2³² − 1. Default 0. */
  readonly seed: number
  /** spfq: order of the data alignment, 1 to 1000. Default 1, the one-phase algorithm. */
  readonly alignment: number
  /** frame: coefficients for each weight, 2 to 64. Default 4. */
  readonly redundancy: number
  /**
   * msq: first moves all but at most m weights of each neuron to the ends of its alphabet, without a change of its outputs
   * on the m samples (2209.03487). Needs fewer samples than inputs. An abort takes effect between neurons.
   */
  readonly preprocess: boolean
  /** gpfq with an odd number of levels: sets weights with little effect to zero (2201.11113). */
  readonly sparsity: Sparsity
}

/** Name of an option of methods. */
export type OptionName = keyof OptionValues

/** Names of the options of a method, from the table of methods. */
type OptionsOf<M extends Method> = keyof (typeof METHOD_TABLE)[M]['options'] & OptionName

/** The options K and no others, except false for a flag, which changes nothing. */
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
 * A method with its own options, the same for one layer and for a whole model. The default method is gpfq, with the preset
 * `best` qronos. The preset makes three passes, which is slower and most accurate; beacon keeps its loops.
 *
 * `gpfq`: passes, actOrder, damping, sparsity; `spfq`: passes, actOrder, damping, seed, alignment; `gptq`, `qronos`: passes,
 * actOrder, damping; `beacon`: passes, damping; `msq`: passes, damping, preprocess; `frame`: redundancy, and no preset.
 */
export type MethodOptions = OptionsWith<never>

/** Options of methods whose combination the compiler has not checked: from a form, a file or a command line. */
export interface AnyMethodOptions extends Partial<OptionValues> {
  readonly method?: Method
  readonly preset?: 'best'
}

/** The weights that share one scale: a whole layer, one neuron, or `group` consecutive inputs of one neuron. */
export type ScalePer = 'layer' | 'neuron' | { readonly group: number }

/**
 * The radius α of the alphabet, its largest value, for the weights that share a scale:
 * `max` is their largest |w|; `median` is factor·median|W| of the layer (2010.15979); `mean-max` is factor·mean over neurons
 * of ‖w‖∞ (2201.11113); `mse` is the fraction of the maximum with the least weight error, out of a grid; `search` is the
 * fraction with the least output error out of the same grid, with the method run for each; `value` is the given number.
 */
export type Radius =
  | { readonly rule: 'max' }
  | { readonly rule: 'median'; readonly factor: number }
  | { readonly rule: 'mean-max'; readonly factor: number }
  | { readonly rule: 'mse' }
  | { readonly rule: 'search' }
  | { readonly rule: 'value'; readonly value: number }

/**
 * How the range of a tensor is found: `minmax` holds all values; `percentile` leaves out the share of values beyond a
 * percentile at both ends; `mse` is the fraction of minmax with the least squared error of the values, out of a grid; `search`
 * is the fraction with the least error of the outputs of the layers that read the tensor, errors of channels being taken as
 * independent: the squared error of a channel counts by the squared weights that it is multiplied by.
 */
export type ActivationRanges =
  | { readonly rule: 'minmax' }
  | { readonly rule: 'percentile'; readonly percentile: number }
  | { readonly rule: 'mse' }
  | { readonly rule: 'search' }

/** Whether a layer runs on integers: `int8` wherever it is possible, `float` never. */
export interface KernelFor {
  /** A glob over node or weight names. */
  readonly pattern: string
  readonly kernel: Kernel
}

/** The arithmetic of a layer at inference: float32, or 8-bit integers with quantized activations. */
export type Kernel = 'int8' | 'float'

/**
 * Quantized activations: layers run on integers where ONNX Runtime is faster so (docs/INT8.md). Codes are chosen on the
 * quantized inputs, so they make up for the rounding of activations.
 */
export interface ActivationOptions {
  /** Bits of an activation, unsigned with a zero point. */
  readonly bits: 8
  /** How ranges that calibration fixes are found. Default { rule: 'minmax' }. */
  readonly ranges?: ActivationRanges
  /**
   * Where a layer on integers reads an input of the model, the written model takes codes, uint8, instead of floats: the bytes
   * of an image, where its samples were divided by 255. The report has the scale and the zero point. Default false.
   */
  readonly byteInputs?: boolean
  /** For some layers what the shapes would not choose; the last match applies. A glob without a match is an error. */
  readonly for?: readonly KernelFor[]
}

/** How much each sample row of a layer counts: as it is, or divided by its norm in the float network, so that all count alike. */
export type SampleWeights = 'none' | 'norm'

/** Options of a whole model besides those of the method. */
export interface ModelOptions {
  /** Bytes of an ONNX external data file, by the relative path that the model names. */
  readonly readExternalData?: (path: string) => Promise<Uint8Array>
  /** Alphabet size M, 2 to 256: M equally spaced values over [−α, α]. Default 15 (4 bits). */
  readonly levels?: number
  /** Other alphabet sizes for some layers: a glob over node or weight names; the last match applies. */
  readonly levelsFor?: readonly { readonly pattern: string; readonly levels: number }[]
  /**
   * Chooses the levels of each layer (2 to 8 bits) by its output error, within a budget: the bytes of the quantized weights
   * as a share of the bytes of the float weights, above 0 and up to 1. Layers of levelsFor keep theirs.
   */
  readonly targetSize?: number
  /** The same with another budget: bits per weight on average, 2 to 8. */
  readonly targetBits?: number
  /** Default 'neuron'. Not for beacon and frame, which find their own scales. */
  readonly scalePer?: ScalePer
  /** Default { rule: 'search' }. Not for beacon and frame, which find their own scales. */
  readonly radius?: Radius
  /** How weights are stored in the file (docs/FORMATS.md). Default 'auto', the smallest that runs at full speed. */
  readonly format?: Format | 'auto'
  /** Most sample rows of one convolution, spread evenly, but at least one for each image; 0 takes all. Default 32768. */
  readonly patches?: number
  /**
   * Takes random sample rows of convolutions instead (2201.11113): this share, above 0, of the patches that tile each image
   * without overlap, drawn with replacement by `seed`; 1 takes all of these patches.
   */
  readonly randomPatches?: number
  /**
   * `norm` divides every sample row of a layer, in both networks, by ‖x‖, the norm of the row in the float network, before H and G
   * are summed: for samples of very unequal size in front of a logarithm or a normalization. Convolutions then take patches
   * instead of correlations. Means for bias correction and measured errors are of the rows as they are. Default 'none'.
   */
  readonly sampleWeights?: SampleWeights
  /** Convolutions: one path for each channel of a kernel, as in 2010.15979, instead of one for all. Default false. */
  readonly perChannel?: boolean
  /** Globs over node or weight names: only matching layers are quantized. A glob without a match is an error. */
  readonly include?: readonly string[]
  /** Globs over node or weight names: matching layers stay float. A glob without a match is an error. */
  readonly exclude?: readonly string[]
  /** Quantizes activations too. Default: none, weights only. */
  readonly activations?: ActivationOptions
  /** Add to each bias the mean difference of the layer's outputs in the two networks. Default false. */
  readonly biasCorrection?: boolean
  /**
   * Samples that are kept out of calibration, spread evenly. Layers are judged on them, so that none loses more than by
   * rounding, and the report says what the network lost on them. Default an eighth, at least 8 of 32; 0 for none.
   */
  readonly holdout?: number
  /** Fold a BatchNormalization directly after a Conv or Gemm into its weights. Default true. */
  readonly foldBatchNorm?: boolean
  /**
   * Most bytes that the plan may take: the model itself, the kernels, held tensors, and what ONNX Runtime reads and returns of
   * one batch. Layers are solved in ranges of neurons, batches cut and tensors put into a temporary file to keep within it; the
   * result is the same. What ONNX Runtime and the JavaScript engine take for themselves is not in it. Default: no limit.
   */
  readonly memory?: number
  /**
   * Values that inputs of the model always have, by name. An If whose condition follows from them is replaced by the branch
   * that runs, so that its layers are calibrated: the written model then holds this branch only, and still takes the input.
   * Batches of calibration need not hold these inputs.
   */
  readonly inputs?: Feeds
  /** Aborts the work, also that of planning. */
  readonly signal?: AbortSignal
}

/** Options of planModel. With randomPatches every method has a seed. */
export type PlanModelOptions = OptionsWith<'seed'> & ModelOptions

/** Options of planModel whose combination the compiler has not checked. */
export type AnyPlanOptions = AnyMethodOptions & ModelOptions

/** What running a plan needs besides the plan. */
export interface RunOptions {
  /** Batches of calibration inputs by input name; the leading axis of every tensor counts samples. */
  readonly calibration?: Iterable<Feeds> | AsyncIterable<Feeds>
  /** Other samples to judge on, in place of those that are kept out of calibration. */
  readonly test?: Iterable<Feeds> | AsyncIterable<Feeds>
  /** Runs the float and the quantized network on the calibration inputs and checks the written model. */
  readonly runner: Runner
  /** The quantizer to compute on, which stays open. If left out, the run creates and closes its own. */
  readonly quantizer?: Quantizer
  /** Worker threads, at least 1; default the number given to init(), or else all of the machine. Not with quantizer. */
  readonly threads?: number
  /** Uses relaxed SIMD where the runtime has it: can be faster, but bytes differ between machines. Default false. */
  readonly fastMath?: boolean
  /**
   * Where finished stages are kept: the same run again goes on behind them, to the same bytes (docs/RESUME.md). A run with another
   * model, other samples, options, runtime or version of gpfq is refused.
   */
  readonly checkpoint?: Store
  /** Begins anew, whatever the checkpoint holds. Default false. */
  readonly restart?: boolean
  /** Other machines that run the networks and sum over the samples, to the same bytes (docs/CLUSTER.md). Not with fastMath. */
  readonly cluster?: Cluster
  readonly signal?: AbortSignal
  /** Called on the way, in order. */
  readonly onProgress?: (event: ProgressEvent) => void
}

/** Options of quantizeModel. */
export type QuantizeModelOptions = PlanModelOptions & RunOptions

/** What quantizeModel reports while it runs. */
export type ProgressEvent =
  | { readonly type: 'plan'; readonly layers: number; readonly samples: number }
  /** The checkpoint holds this run: layers that are finished are taken from it, and reported as the others. */
  | { readonly type: 'resume' }
  | { readonly type: 'layer-start'; readonly index: number; readonly layers: number; readonly name: string }
  /** Share of the whole run that is done, 0 to 1, and the current phase. */
  | { readonly type: 'progress'; readonly fraction: number; readonly phase: string }
  | {
      readonly type: 'layer-done'
      readonly index: number
      readonly layers: number
      readonly layer: LayerReport
    }
  | { readonly type: 'verify' }

/** The result of one layer. */
export interface LayerReport {
  readonly name: string
  readonly op: LayerOp
  readonly weight: string
  readonly inputs: number
  readonly neurons: number
  readonly groups: number
  /** Why the weight is rounded, with the scales of least weight error; null where the method of the run chooses its codes. */
  readonly rounded: string | null
  /** Number of sample rows that the codes depend on, 0 without calibration and where the weight is rounded. */
  readonly samples: number
  readonly levels: number
  readonly format: Format
  /** Why the layer has this format: by the choice of `auto`, or because the layer cannot have the requested one. */
  readonly formatReason: string
  readonly kernel: Kernel
  /** Of the layer's inputs, where it runs on integers: fixed by calibration, or those of the tensor at hand. */
  readonly ranges: RangeKind | null
  /** Why the layer has this kernel. */
  readonly kernelReason: string
  /**
   * ‖Y − Ỹ‖ / ‖Y‖ with the layer's outputs Y in the float and Ỹ in the quantized network; null without calibration, and in
   * the body of an If, Loop or Scan.
   */
  readonly relativeError: number | null
  readonly sqnrDb: number | null
  /** The same error on samples that are kept out of calibration; null without them. */
  readonly heldOutError: number | null
  /** How the codes were chosen in the end, and why not by the plain path; null where nothing was judged. */
  readonly judgement: Judgement | null
  /** Inputs that are zero in every calibration sample; their weights are rounded. 0 where the method uses no samples. */
  readonly deadInputs: number
  /**
   * Bits of codes and scales for each weight, with log₂ M bits for a code: the cost of the method, whatever the format. For
   * frame it includes the redundancy.
   */
  readonly codeBits: number
  /** Share of weights whose value is zero. */
  readonly zeros: number
  /** Histogram of the float weights over the alphabet; null for frame, whose values are not in an alphabet. */
  readonly weights: WeightHistogram | null
  readonly bytesIn: number
  readonly bytesOut: number
  readonly seconds: number
}

/**
 * The result of mixed precision. Errors are sums over layers of ‖Y − Ỹ‖² / ‖Y‖², each with only this layer quantized, times
 * the share that reaches the later layers.
 */
export interface PrecisionReport {
  /** Unit of target, reached and at: a share of the float weights' bytes, or bits per weight. */
  readonly unit: 'size' | 'bits'
  readonly target: number
  readonly reached: number
  readonly error: number
  /** Error at other budgets, from the smallest alphabets to the largest. */
  readonly curve: readonly { readonly at: number; readonly error: number }[]
}

/** What the network lost on samples that are kept out of calibration. */
export interface HeldOutReport {
  readonly samples: number
  /** Every output, against the float network; `rounding`: with all weights rounded instead, null where that was not tried. */
  readonly outputs: readonly (OutputDifference & { readonly rounding: OutputDifference | null })[]
}

/** The result of a run, as plain data. Times are in seconds. */
export interface QuantizeReport {
  /** Bytes of the float model, with its external data, and of the quantized model. */
  readonly bytesIn: number
  readonly bytesOut: number
  readonly threads: number
  /** Whether relaxed SIMD was used: then another machine can choose other codes at near-ties. */
  readonly fastMath: boolean
  readonly runner: string
  /** All options of the run, with defaults filled in. */
  readonly settings: Settings
  readonly foldedBatchNorms: readonly string[]
  readonly layers: readonly LayerReport[]
  readonly skipped: readonly Skipped[]
  /** Where the float bytes of the model are: in weights that were quantized, or left and why. */
  readonly floats: FloatAccount
  readonly notes: readonly Note[]
  /** Null without mixed precision. */
  readonly precision: PrecisionReport | null
  /** Null where no samples are kept out, and for a network that draws random numbers. */
  readonly heldOut: HeldOutReport | null
  /** What the last check of the written model found of each float output, on the first batch; empty without calibration. */
  readonly verified: readonly VerifiedOutput[]
  /**
   * Time of a run of the float and of the written model on one sample (on one batch if the models take batches of one size
   * only), measured in turn at the end; null where no layer runs on integers, where both models do not fit into memory at once, and where the clock stands still while code runs.
   */
  readonly speed: Speed | null
  readonly seconds: {
    readonly load: number
    readonly calibration: number
    readonly quantization: number
    readonly verify: number
    readonly total: number
  }
  /** Most bytes of the kernels' memory and of the held calibration tensors. ONNX Runtime takes its own besides. */
  readonly peakMemoryBytes: number
  /**
   * Most bytes of resident memory that the whole process ever had, ONNX Runtime and the JavaScript engine included; null where
   * the platform does not say it, as in a page.
   */
  readonly processBytes: number | null
}

/** The plan of one layer. */
export interface PlanLayer {
  readonly name: string
  readonly op: LayerOp
  readonly weight: string
  readonly groups: number
  /** Per group. */
  readonly inputs: number
  /** Per group. */
  readonly neurons: number
  /** As in LayerReport. */
  readonly rounded: string | null
  readonly levels: number
  /** Whether levelsFor fixes the levels of this layer, so mixed precision does not change them. */
  readonly fixed: boolean
  /** Inputs that share a scale. */
  readonly blockSize: number
  /** Number of channels of a group that have a path of their own (2010.15979); 1 for one path through all of them. */
  readonly planes: number
  /** As in LayerReport. */
  readonly codeBits: number
  readonly format: Format
  readonly formatReason: string
  /** As in LayerReport, and the two that follow. */
  readonly kernel: Kernel
  readonly ranges: RangeKind | null
  readonly kernelReason: string
  /** Bytes of the kernels' memory that the layer takes at least; batches of samples and scratch of threads come on top. */
  readonly memoryBytes: number
  /** Ranges of neurons that are solved one after another, so that they fit into memory: the same codes. Mostly 1. */
  readonly parts: number
  readonly bytesIn: number
  /** Estimate. */
  readonly bytesOut: number
}

/**
 * The plan of quantizeModel, made without running a network: plain JSON. With targetSize or targetBits the levels in the plan
 * are preliminary: the run chooses them by the error of each layer on the samples.
 */
export interface ModelPlan {
  /** Version of the plan's format. Plans of other versions are refused. */
  readonly version: number
  /** Every option with defaults filled in. */
  readonly settings: Settings
  /** Values that inputs always have, as text. */
  readonly inputs: readonly GivenInput[]
  readonly opset: number
  /** Bytes of the model's file and its external data. */
  readonly bytesIn: number
  readonly foldedBatchNorms: readonly string[]
  readonly layers: readonly PlanLayer[]
  /**
   * Layers in the order in which they are quantized; the layers of one stage are quantized together. `ranges` are the tensors
   * whose range is fixed before that.
   */
  readonly stages: readonly {
    readonly ranges: readonly string[]
    readonly quantize: readonly string[]
    readonly replay: boolean
  }[]
  readonly skipped: readonly Skipped[]
  /** Where the float bytes of the model are: in weights that are quantized, or left and why. */
  readonly floats: FloatAccount
  readonly notes: readonly Note[]
}

/** What quantizeModel returns. */
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
