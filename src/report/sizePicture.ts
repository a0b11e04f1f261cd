/** A table with bars: the bytes of each layer's weights before and after. */
import type { LayerReport } from '../options.js'
import { axisLabels, gridLines, linearAxis } from './axis.js'
import { type Html, html, px } from './html.js'
import { formatBytes } from './numbers.js'

const ROW = 26

/**
 * The table of sizes.
 * @param layers of a report: names, and bytes of the weights before and after
 * @returns a table with inline SVG, styled by PICTURE_STYLE
 * @example
 * element.innerHTML = sizePicture(report.layers).text
 */
export function sizePicture(layers: readonly Pick<LayerReport, 'name' | 'bytesIn' | 'bytesOut'>[]): Html {
  const axis = linearAxis(Math.max(1, ...layers.map(({ bytesIn }) => bytesIn)), roundBytes, 3)
  const rows = layers.map(
    ({ name, bytesIn, bytesOut }) =>
      html`<tr><th scope="row">${name}</th><td class="number">${formatBytes(bytesIn)}</td><td class="number own">${formatBytes(bytesOut)}</td><td class="drawing"><svg width="100%" height="${ROW}" aria-hidden="true">${gridLines(axis, ROW)}<rect class="before" x="0" y="6" width="${px(axis.at(bytesIn))}%" height="14" rx="2"/><rect class="own" x="0" y="6" width="${px(axis.at(bytesOut))}%" height="14" rx="2"/></svg></td></tr>`,
  )
  return html`<table class="rows sizes"><thead><tr><th scope="col">Layer</th><th scope="col" class="number">Before</th><th scope="col" class="number own">After</th><td class="drawing">${axisLabels(axis)}</td></tr></thead><tbody>${rows}</tbody></table>`
}

/** Bytes of a tick as text. Ticks are round numbers, so a decimal of zero is left out. */
function roundBytes(bytes: number): string {
  return bytes === 0 ? '0' : formatBytes(bytes).replace('.0 ', ' ')
}
