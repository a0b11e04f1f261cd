/**
 * Axes: the position of a value between 0 and 100 %, and the values of the ticks. Pictures are drawn in percent of their
 * width, so that they fit any screen without a script and without stretched letters.
 */
import { type Html, html, px } from './html.js'

/** A horizontal axis. */
export interface Axis {
  /** The position of a value, from 0 to 100. */
  at(value: number): number
  readonly ticks: readonly { readonly value: number; readonly text: string }[]
}

/**
 * A linear axis from 0 to the largest value, with ticks at round numbers.
 * @param ticks about how many
 */
export function linearAxis(largest: number, format: (value: number) => string, ticks = 4): Axis {
  const step = roundStep(largest / ticks)
  const count = Math.floor(largest / step + 1e-9)
  return {
    at: (value) => clamp((100 * value) / largest),
    ticks: Array.from({ length: count + 1 }, (_, i) => ({ value: i * step, text: format(i * step) })),
  }
}

/** A logarithmic axis over at least one decade. Values of zero and below are at its start. */
export function logAxis(values: readonly number[], format: (value: number) => string): Axis {
  const positive = values.filter((value) => value > 0 && Number.isFinite(value))
  const least = positive.length === 0 ? 0.1 : Math.min(...positive)
  const most = positive.length === 0 ? 1 : Math.max(...positive)
  let from = roundDown(least)
  const to = roundUp(most)
  if (to / from < 10) from = roundDown(to / 10)
  const span = Math.log(to / from)
  const decades = Math.log10(to / from)
  const mantissas = decades > 3 ? [1] : decades > 1.5 ? [1, 3] : [1, 2, 5]
  const ticks: { value: number; text: string }[] = []
  for (let exponent = Math.floor(Math.log10(from)); exponent <= Math.log10(to) + 1e-9; exponent++) {
    for (const mantissa of mantissas) {
      const value = mantissa * 10 ** exponent
      if (value >= from * 0.999 && value <= to * 1.001) ticks.push({ value, text: format(value) })
    }
  }
  return { at: (value) => clamp((100 * Math.log(Math.max(value, from) / from)) / span), ticks }
}

/** The labels of an axis, for the heading of a column. */
export function axisLabels({ at, ticks }: Axis): Html {
  return html`<svg class="axis" width="100%" height="16" aria-hidden="true">${ticks.map(
    ({ value, text }) =>
      html`<text x="${px(at(value))}%" y="12" text-anchor="${anchor(at(value))}">${text}</text>`,
  )}</svg>`
}

/**
 * Vertical lines at the ticks, behind the marks of a row.
 * @param height of the row, in pixels
 */
export function gridLines({ at, ticks }: Axis, height: number): Html {
  return html`${ticks.map(({ value }) => {
    const x = px(at(value))
    return html`<line class="grid" x1="${x}%" x2="${x}%" y1="0" y2="${height}"/>`
  })}`
}

/** The anchor of a label. Labels at the ends are anchored so that they stay inside the picture. */
function anchor(position: number): string {
  return position < 4 ? 'start' : position > 96 ? 'end' : 'middle'
}

function roundStep(rough: number): number {
  if (!(rough > 0)) return 1
  const power = 10 ** Math.floor(Math.log10(rough))
  return power * ([1, 2, 5, 10].find((mantissa) => mantissa * power >= rough * (1 - 1e-9)) ?? 10)
}

function roundDown(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value))
  return power * ([5, 2, 1].find((mantissa) => mantissa * power <= value) ?? 1)
}

function roundUp(value: number): number {
  return roundStep(value)
}

function clamp(position: number): number {
  return Math.min(100, Math.max(0, position))
}
