/**
 * The progress of a long run, on stderr. A terminal gets one line that moves. A log, a pipe or CI gets one line per
 * finished layer.
 */
import type { LayerReport, ProgressEvent } from '../options.js'
import { formatDecibels, formatPercent, formatSeconds } from './numbers.js'
import { bar, cutMiddle } from './table.js'
import { printable, type Terminal } from './terminal.js'

const BAR_LENGTH = 24

/** A listener that shows quantizeModel's progress events. */
export function showQuantizing(terminal: Terminal): (event: ProgressEvent) => void {
  let fraction = 0
  let doing = 'reading the model'
  const draw = () => terminal.redraw(movingLine(fraction, doing))
  return (event) => {
    if (event.type === 'progress') {
      fraction = event.fraction
      doing = event.phase
    } else if (event.type === 'resume') terminal.say('going on behind the layers that are finished')
    else if (event.type === 'layer-start')
      doing = `layer ${event.index + 1} of ${event.layers}, ${printable(event.name)}`
    else if (event.type === 'verify') doing = 'checking the written model'
    else if (event.type === 'layer-done' && !terminal.interactive)
      terminal.say(layerLine(event.index, event.layers, event.layer))
    draw()
  }
}

/** A listener that shows how many samples of a pass over data are done. */
export function showSamples(terminal: Terminal, doing: string): (done: number, total: number) => void {
  return (done, total) => {
    if (done >= total) terminal.redraw('')
    else terminal.redraw(movingLine(done / total, `${doing}, ${done} of ${total} samples`))
  }
}

function movingLine(fraction: number, doing: string): string {
  const percent = `${Math.floor(100 * fraction)}`.padStart(3)
  return `${bar(fraction, BAR_LENGTH).padEnd(BAR_LENGTH, '░')} ${percent} %  ${doing}`
}

function layerLine(index: number, layers: number, layer: LayerReport): string {
  const counter = `[${String(index + 1).padStart(String(layers).length)}/${layers}]`
  const error = layer.relativeError === null ? 'no data' : `error ${formatPercent(layer.relativeError)}`
  return `${counter} ${cutMiddle(printable(layer.name), 48)}: ${shapeOf(layer)}, ${layer.levels} levels, ${error}, ${formatDecibels(layer.sqnrDb)}, ${formatSeconds(layer.seconds)}`
}

/** The shape of a layer's weights, inputs × neurons, and the number of groups if there are several. */
export function shapeOf(layer: {
  readonly groups: number
  readonly inputs: number
  readonly neurons: number
}): string {
  const one = `${layer.inputs}×${layer.neurons}`
  return layer.groups === 1 ? one : `${layer.groups}·(${one})`
}
