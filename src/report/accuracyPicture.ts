/** A table with bars: the accuracy of the float, the rounded and the quantized network on the same labelled data. */
import { axisLabels, gridLines, linearAxis } from './axis.js'
import type { Accuracy, Evaluation } from './document.js'
import { type Html, html, px } from './html.js'
import { formatPercent } from './numbers.js'

const ROW = 30

/**
 * The table of accuracies.
 * @param accuracy of the networks on the same labelled data, shares from 0 to 1
 * @param name the name of the quantized network
 * @returns a table with inline SVG, styled by PICTURE_STYLE
 * @example
 * element.innerHTML = accuracyPicture({ float, quantized }, 'GPFQ').text
 */
export function accuracyPicture(accuracy: Accuracy, name: string): Html {
  const axis = linearAxis(1, (value) => `${Math.round(100 * value)} %`)
  const floatShare = shareOf(accuracy.float)
  const rows = [
    { title: 'Float, as it came', kind: 'before', of: accuracy.float },
    ...(accuracy.rounded === undefined ? [] : [{ title: 'Rounded', kind: 'other', of: accuracy.rounded }]),
    { title: name, kind: 'own', of: accuracy.quantized },
  ].map(({ title, kind, of }) => {
    const share = shareOf(of)
    return html`<tr><th scope="row">${title}</th><td class="number ${kind}">${formatPercent(share, 1)}</td><td class="number">${
      of === accuracy.float ? '' : points(share - floatShare)
    }</td><td class="drawing"><svg width="100%" height="${ROW}" aria-hidden="true">${gridLines(axis, ROW)}<rect class="${kind}" x="0" y="7" width="${px(axis.at(share))}%" height="16" rx="2"/></svg></td></tr>`
  })
  return html`<table class="rows accuracy"><thead><tr><th scope="col">Network</th><th scope="col" class="number">${
    'top1' in accuracy.quantized ? 'Right' : 'Next token'
  }</th><th scope="col" class="number">Change</th><td class="drawing">${axisLabels(axis)}</td></tr></thead><tbody>${rows}</tbody></table><p class="quiet">${more(accuracy)}</p>`
}

/** The share of right answers, from 0 to 1: top-1, or next tokens. */
export function shareOf(evaluation: Evaluation): number {
  return 'top1' in evaluation ? evaluation.top1 : evaluation.nextToken
}

/** A difference of shares as text, in percentage points. */
export function points(difference: number): string {
  const value = 100 * difference
  if (Math.abs(value) < 0.05) return '±0.0'
  return `${value < 0 ? '−' : '+'}${Math.abs(value).toFixed(1)}`
}

/** The line below the table: the number of samples, and perplexities. */
function more({ float, rounded, quantized }: Accuracy): string {
  const all = [float, ...(rounded === undefined ? [] : [rounded]), quantized]
  const samples = `On ${quantized.samples.toLocaleString('en')} samples that were labelled.`
  const perplexities = all.flatMap((one) => ('perplexity' in one ? one.perplexity.toFixed(2) : []))
  return perplexities.length === 0 ? samples : `${samples} Perplexity: ${perplexities.join(' → ')}.`
}
