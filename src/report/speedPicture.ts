/** A table with bars: the time of a run of the float and of the quantized network on the same samples. */
import type { Speed } from '../calibration/speed.js'
import { axisLabels, gridLines, linearAxis } from './axis.js'
import { type Html, html, px } from './html.js'
import { formatRunTime, timesFaster } from './numbers.js'

const ROW = 30

/**
 * The table of times.
 * @param speed of a report: seconds of a run of each network
 * @param name the name of the quantized network
 * @param runner what ran them, as in the report
 * @returns a table with inline SVG, styled by PICTURE_STYLE
 * @example
 * element.innerHTML = speedPicture(report.speed, 'GPFQ', report.runner).text
 */
export function speedPicture(
  { floatSeconds, quantizedSeconds, runs, samples }: Speed,
  name: string,
  runner: string,
): Html {
  const axis = linearAxis(Math.max(floatSeconds, quantizedSeconds), roundTime)
  const rows = [
    { title: 'Float, as it came', kind: 'before', seconds: floatSeconds, change: '' },
    {
      title: name,
      kind: 'own',
      seconds: quantizedSeconds,
      change: timesFaster(floatSeconds, quantizedSeconds),
    },
  ].map(
    ({ title, kind, seconds, change }) =>
      html`<tr><th scope="row">${title}</th><td class="number ${kind}">${formatRunTime(seconds)}</td><td class="number">${change}</td><td class="drawing"><svg width="100%" height="${ROW}" aria-hidden="true">${gridLines(axis, ROW)}<rect class="${kind}" x="0" y="7" width="${px(axis.at(seconds))}%" height="16" rx="2"/></svg></td></tr>`,
  )
  const times = runs === 1 ? 'one run of each' : `the shortest of ${runs} runs of each`
  return html`<table class="rows speed"><thead><tr><th scope="col">Network</th><th scope="col" class="number">A run</th><th scope="col" class="number">Change</th><td class="drawing">${axisLabels(axis)}</td></tr></thead><tbody>${rows}</tbody></table><p class="quiet">On ${samples.toLocaleString('en')} ${samples === 1 ? 'sample' : 'samples'} at a time, in turn, ${times}. Measured in ${runner}; another machine can differ.</p>`
}

/** Seconds of a tick as text. Ticks are round numbers, so zeros at the end are left out. */
function roundTime(seconds: number): string {
  const short = (value: number) => Number(value.toPrecision(3))
  return seconds === 0 ? '0' : seconds < 1 ? `${short(1000 * seconds)} ms` : `${short(seconds)} s`
}
