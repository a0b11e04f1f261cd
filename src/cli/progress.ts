/**
 * What a long run shows: on a terminal one line that moves, elsewhere (a log, a pipe, CI) one line per finished
 * layer. Everything goes to stderr.
 */
import type { LayerReport, ProgressEvent } from '../options.js'
import { formatDecibels, formatPercent, formatSeconds } from './numbers.js'
import { bar, cutMiddle } from './table.js'
import type { Terminal } from './terminal.js'

const BAR_LENGTH = 24

/** Shows quantizeModel's progress events. */
export function showQuantizing(terminal: Terminal): (event: ProgressEvent) => void {
  let fraction = 0
  let doing = 'reading the model'
  const draw = () => terminal.redraw(movingLine(fraction, doing))
  return (event) => {
    if (event.type === 'progress') {
      fraction = event.fraction
      doing = event.phase
    } else if (event.type === 'layer-start')
      doing = `layer ${event.index + 1} of ${event.layers}, ${event.name}`
    else if (event.type === 'verify') doing = 'checking the written model'
    else if (event.type === 'layer-done' && !terminal.interactive)
      terminal.say(layerLine(event.index, event.layers, event.layer))
    draw()
  }
}

/** Shows samples done of a pass over data. */
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
  return `${counter} ${cutMiddle(layer.name, 48)}: ${shapeOf(layer)}, ${layer.levels} levels, ${error}, ${formatDecibels(layer.sqnrDb)}, ${formatSeconds(layer.seconds)}`
}

/** inputs × neurons, and how many groups of them. */
export function shapeOf(layer: {
  readonly groups: number
  readonly inputs: number
  readonly neurons: number
}): string {
  const one = `${layer.inputs}×${layer.neurons}`
  return layer.groups === 1 ? one : `${layer.groups}·(${one})`
}
