/**
 * The input of a report page: the report of a run, and optional data for comparison. It is plain data, so that it can be
 * sent to workers and saved as JSON.
 */
import type { ClassEvaluation, SequenceEvaluation } from '../model/evaluate.js'
import type { QuantizeReport } from '../options.js'

/** Accuracy of a network, as `evaluate` measures it. */
export type Evaluation = ClassEvaluation | SequenceEvaluation

/** What a report page shows. */
export interface ReportDocument {
  /** The name of the float model's file. */
  readonly model: string
  /** The name of the quantized model's file. */
  readonly output: string
  readonly report: QuantizeReport
  /** The report of a run with the same settings but method msq, which rounds every weight by itself. */
  readonly rounded?: QuantizeReport | undefined
  /** The accuracy of the networks on the same labelled data. */
  readonly accuracy?: Accuracy | undefined
  /** The answers of the networks to some inputs. */
  readonly answers?: readonly SampleAnswers[] | undefined
}

/** Accuracy of up to three networks on the same labelled data. */
export interface Accuracy {
  readonly float: Evaluation
  readonly rounded?: Evaluation | undefined
  readonly quantized: Evaluation
}

/** One input with the answers of two networks. */
export interface SampleAnswers {
  /** Its name, for instance "sample 17". */
  readonly name: string
  /** The input as a picture in a data: URL; null if it is not an image. */
  readonly image: string | null
  /** The right class; null if it is not known. */
  readonly label: number | null
  readonly float: Answer
  readonly quantized: Answer
}

/** The answer of a classifier. */
export interface Answer {
  /** The class with the largest score. */
  readonly class: number
  /** Its softmax over all classes, from 0 to 1. */
  readonly share: number
}
