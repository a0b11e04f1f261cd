/**
 * A table of the layers' relative output errors, with dots on a logarithmic axis (SQNR on a linear axis looks the same).
 * The errors of plain rounding are beside them if that was run. The numbers are in the table, so the dots are not needed
 * to read it.
 */
import type { LayerReport } from '../options.js'
import { axisLabels, gridLines, logAxis } from './axis.js'
import { type Html, html, px } from './html.js'
import { formatDecibels } from './numbers.js'

const ROW = 26

/**
 * The table of relative output errors ‖Y − Ỹ‖ / ‖Y‖ by layer.
 * @param layers of a report; those without an error are left out
 * @param rounded the layers of a run with plain rounding
 * @param name the name of the method
 * @returns a table with inline SVG, styled by PICTURE_STYLE
 * @example
 * element.innerHTML = errorPicture(report.layers, undefined, methodName(report)).text
 */
export function errorPicture(
  layers: readonly LayerReport[],
  rounded: readonly LayerReport[] | undefined,
  name: string,
): Html {
  const measured = layers.filter((layer) => layer.relativeError !== null)
  if (measured.length === 0)
    return html`<p class="quiet">Without calibration data there is nothing to measure errors on.</p>`
  const roundedError = new Map(rounded?.map((layer) => [layer.name, layer.relativeError]))
  const values = [...measured.map((layer) => layer.relativeError), ...roundedError.values()]
  const axis = logAxis(
    values.flatMap((value) => value ?? []),
    shortPercent,
  )
  const rows = measured.map((layer) => {
    const error = layer.relativeError ?? 0
    const other = roundedError.get(layer.name) ?? null
    const y = ROW / 2
    return html`<tr><th scope="row">${layer.name}</th><td class="number own">${errorText(error)}</td>${
      rounded === undefined
        ? html`<td class="number">${formatDecibels(layer.sqnrDb)}</td>`
        : html`<td class="number other">${other === null ? '–' : errorText(other)}</td>`
    }<td class="drawing"><svg width="100%" height="${ROW}" aria-hidden="true">${gridLines(axis, ROW)}${
      other === null
        ? null
        : html`<line class="span" x1="${px(axis.at(error))}%" x2="${px(axis.at(other))}%" y1="${y}" y2="${y}"/><circle class="other" cx="${px(axis.at(other))}%" cy="${y}" r="4.5"/>`
    }<circle class="own" cx="${px(axis.at(error))}%" cy="${y}" r="5"/></svg></td></tr>`
  })
  return html`<table class="rows errors"><thead><tr><th scope="col">Layer</th><th scope="col" class="number own">${name}</th>${
    rounded === undefined
      ? html`<th scope="col" class="number">SQNR</th>`
      : html`<th scope="col" class="number other">Rounded</th>`
  }<td class="drawing">${axisLabels(axis)}</td></tr></thead><tbody>${rows}</tbody></table>`
}

/**
 * A share as text with two or three digits.
 * @param share from 0 to 1
 * @example
 * errorText(0.0123) // '1.23 %'
 */
export function errorText(share: number): string {
  const percent = 100 * share
  return `${percent === 0 ? '0' : percent < 1 ? percent.toPrecision(2) : percent.toPrecision(3)} %`
}

function shortPercent(share: number): string {
  return `${Number((100 * share).toPrecision(2))} %`
}
