/**
 * A layer's weights and its alphabet: a histogram of the float weights, each in units of its own scale, and over it the
 * values of the alphabet. The height of a value is the number of weights that have it.
 */
import type { LayerReport } from '../options.js'
import { type Html, html, px } from './html.js'

const HEIGHT = 170
const FOOT = 22
const TOP = 8
/** Dots are drawn for at most this many values; more would overlap. */
const MOST_STICKS = 64
const MOST_LABELS = 15

/**
 * The picture of a layer's weights; empty if the report has none.
 * @param layer of a report, with the histogram of its weights in units of their scales
 * @returns a figure with inline SVG, styled by PICTURE_STYLE
 * @example
 * element.innerHTML = weightsPicture(report.layers[0]).text
 */
export function weightsPicture(layer: Pick<LayerReport, 'name' | 'levels' | 'weights'>): Html {
  if (layer.weights === null) return html``
  const { edge, counts, codes } = layer.weights
  const total = codes.reduce((sum, count) => sum + count, 0)
  const zero = (codes.length - 1) / 2
  const base = HEIGHT - FOOT
  const at = (value: number) => (50 * (value + edge)) / edge
  const tallest = Math.max(1, ...counts)
  const mostTaken = Math.max(1, ...codes)
  const width = 100 / counts.length
  const bars = counts.map((count, i) => {
    const height = ((base - TOP) * count) / tallest
    return html`<rect class="before" x="${px(i * width)}%" width="${px(width)}%" y="${px(base - height)}" height="${px(height)}"/>`
  })
  const few = codes.length <= MOST_STICKS
  const sticks = codes.map((count, code) => {
    const x = px(at(code - zero))
    const y = px(base - ((base - TOP) * count) / mostTaken)
    return html`<line class="stick" x1="${x}%" x2="${x}%" y1="${base}" y2="${y}"/>${
      few && html`<circle class="own" cx="${x}%" cy="${y}" r="3.5"/>`
    }`
  })
  const every = Math.ceil(codes.length / MOST_LABELS)
  const labels = codes.map((_, code) => {
    if (codes.length > 2 && Math.abs(code - Math.round(zero)) % every !== 0) return null
    return html`<text x="${px(at(code - zero))}%" y="${HEIGHT - 6}" text-anchor="middle">${signed(code - zero)}</text>`
  })
  const unused = codes.filter((count) => count === 0).length
  const zeros = codes.length % 2 === 1 ? (codes[Math.round(zero)] ?? 0) / Math.max(1, total) : null
  return html`<figure class="weights"><svg width="100%" height="${HEIGHT}" role="img" aria-label="${`Histogram of the ${total} weights of ${layer.name} with the ${codes.length} values of its alphabet`}">${bars}<line class="base" x1="0" x2="100%" y1="${base}" y2="${base}"/>${sticks}${labels}</svg><figcaption><p><span class="key before"></span>${total.toLocaleString('en')} float weights, each in units of its own scale.</p><p><span class="key own"></span>The ${codes.length} values they may take now, as high as many took them${
    zeros !== null && zeros > 0 && html`; ${Math.round(100 * zeros)} % became zero`
  }${unused > 0 && html`; ${unused} values are not used`}.</p></figcaption></figure>`
}

function signed(value: number): string {
  return value < 0 ? `−${-value}` : String(value)
}
