/**
 * What a report page is made from: the report of a run, and what may be known besides, for comparison. Plain data, so
 * that it crosses workers and is saved as JSON.
 */
import type { ClassEvaluation, SequenceEvaluation } from '../model/evaluate.js'
import type { QuantizeReport } from '../options.js'

export type Evaluation = ClassEvaluation | SequenceEvaluation

export interface ReportDocument {
  /** Name of the float model's file. */
  readonly model: string
  /** Name of the quantized model's file. */
  readonly output: string
  readonly report: QuantizeReport
  /** The same settings, but every weight rounded by itself (method msq). */
  readonly rounded?: QuantizeReport | undefined
  /** How good the networks are on the same labelled data. */
  readonly accuracy?: Accuracy | undefined
  /** What the networks say to some inputs. */
  readonly answers?: readonly SampleAnswers[] | undefined
}

export interface Accuracy {
  readonly float: Evaluation
  readonly rounded?: Evaluation | undefined
  readonly quantized: Evaluation
}

export interface SampleAnswers {
  /** What to call it, for instance "sample 17". */
  readonly name: string
  /** The input as a picture, a data: URL; null where it is none. */
  readonly image: string | null
  /** The right class, if it is known. */
  readonly label: number | null
  readonly float: Answer
  readonly quantized: Answer
}

export interface Answer {
  /** The class with the largest score. */
  readonly class: number
  /** Its share among all classes, softmax of the scores. */
  readonly share: number
}
