/** Where the float bytes of a model are, with shares: in weights that are quantized, or left and why. */
import type { FloatAccount } from '../onnx/floatAccount.js'
import { formatBytes } from './numbers.js'
import { printable } from './terminal.js'

/** Tensors that are listed by themselves at most; the others are summed up. */
const MOST_LISTED = 10

/** The share of the float bytes that is quantized. */
export const quantizedShare = ({ bytes, quantized }: FloatAccount): string => shareOf(quantized, bytes)

/** @param least share of the float bytes from which a tensor is listed by itself */
export function floatLines(account: FloatAccount, least = 0): readonly string[] {
  const { bytes, quantized, kept } = account
  const listed = kept.filter((entry) => entry.bytes >= least * bytes).slice(0, MOST_LISTED)
  const rest = kept.slice(listed.length)
  const restBytes = rest.reduce((sum, entry) => sum + entry.bytes, 0)
  const stay = kept.length === 0 ? '' : `, ${amountOf(bytes - quantized, bytes)} stay float`
  return [
    `float values ${formatBytes(bytes)}: ${amountOf(quantized, bytes)} in layers${stay}`,
    ...listed.map(({ place, bytes: own, reason }) =>
      printable(`  ${place}, ${amountOf(own, bytes)}: ${reason}`),
    ),
    ...(rest.length === 0
      ? []
      : [`  ${rest.length} ${listed.length === 0 ? 'tensors' : 'more'}, ${amountOf(restBytes, bytes)}`]),
  ]
}

const amountOf = (part: number, whole: number): string => `${formatBytes(part)} (${shareOf(part, whole)})`

/** In percent, rounded down, so that 100 % is all of it. */
function shareOf(part: number, whole: number): string {
  const percent = whole === 0 ? 0 : Math.floor((1000 * part) / whole) / 10
  return percent === 0 && part > 0 ? 'below 0.1 %' : `${percent} %`
}
