/** How outputs of two networks differ, in words: for the terminal and for the page. */
import type { OutputDifference, OutputKind } from '../model/outputDifference.js'
import { formatDecibels, formatPercent } from './numbers.js'

const WORDS: Readonly<Record<OutputKind, string>> = {
  classes: 'same largest class',
  threshold: 'same side of the threshold',
  mask: 'overlap of masks',
  embedding: 'mean cosine',
  integers: 'equal values',
}

/**
 * What an output's agreement is.
 * @param difference of one output
 * @example
 * agreementWords({ kind: 'classes', … }) // 'same largest class'
 */
export const agreementWords = ({ kind }: Pick<OutputDifference, 'kind'>): string => WORDS[kind]

/**
 * The agreement as a number: a cosine to four digits, any other share in percent.
 * @param difference of one output
 */
export const agreementText = ({ kind, agreement }: Pick<OutputDifference, 'kind' | 'agreement'>): string =>
  kind === 'embedding' ? agreement.toFixed(4) : formatPercent(agreement)

/** The signal-to-noise ratio, or that nothing differs. */
export const sqnrText = ({ sqnrDb }: Pick<OutputDifference, 'sqnrDb'>): string =>
  sqnrDb === null ? 'equal' : formatDecibels(sqnrDb)
