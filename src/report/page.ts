/**
 * A report as one HTML file without scripts, fonts or addresses. It loads nothing, so it can be mailed, printed and kept
 * beside the model.
 */
import type { Judgement } from '../model/guard.js'
import type { OutputDifference } from '../model/outputDifference.js'
import { describeNote } from '../notes.js'
import type { RangeKind } from '../onnx/activations/integers.js'
import type { HeldOutReport, LayerReport, QuantizeReport } from '../options.js'
import { VERSION } from '../version.js'
import { accuracyPicture } from './accuracyPicture.js'
import { answersPicture } from './answersPicture.js'
import { describeSetting } from './describeSetting.js'
import type { ReportDocument } from './document.js'
import { errorPicture, errorText } from './errorPicture.js'
import { headline, methodName } from './facts.js'
import { Html, html } from './html.js'
import { bitsFor, formatBytes, formatDecibels, formatSeconds, memoryText } from './numbers.js'
import { agreementText, agreementWords, sqnrText } from './outputs.js'
import { sizePicture } from './sizePicture.js'
import { speedPicture } from './speedPicture.js'
import { PAGE_STYLE, PALETTE, PICTURE_STYLE } from './style.js'
import { weightsPicture } from './weightsPicture.js'

/**
 * The report page, as the text of an HTML file.
 * @param document the report of a run, and optional data for comparison
 * @example
 * await writeFile('report.html', renderReport({ model: 'a.onnx', output: 'a.gpfq.onnx', report }))
 */
export function renderReport(document: ReportDocument): string {
  const { model, output, report, rounded, accuracy, answers } = document
  const name = methodName(report)
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>${output}: what was lost</title>
<style>${new Html(PALETTE + PAGE_STYLE + PICTURE_STYLE)}</style>
</head>
<body>
<main>
<h1>${output}</h1>
<p class="quiet">Quantized from ${model}.</p>
<dl class="tiles">${headline(document).map(
    ({ title, value, more }) => html`<div><dt>${title}</dt><dd>${value}<small>${more}</small></dd></div>`,
  )}</dl>
${
  accuracy !== undefined &&
  html`<section><h2>Accuracy</h2><p class="quiet">The networks on the same labelled data, none of it used for quantizing.</p>${accuracyPicture(accuracy, name)}</section>`
}
${report.heldOut !== null && heldOutSection(report.heldOut)}
<section><h2>Error by layer</h2><p class="quiet">${errorLegend(rounded !== undefined)}</p>${errorPicture(report.layers, rounded?.layers, name)}</section>
<section><h2>Size by layer</h2><p class="quiet">What the weights take in the file.</p>${sizePicture(report.layers)}</section>
${report.speed !== null && html`<section><h2>Speed</h2>${speedPicture(report.speed, name, report.runner)}</section>`}
${
  answers !== undefined &&
  answers.length > 0 &&
  html`<section><h2>A few answers</h2>${answersPicture(answers, name)}</section>`
}
<section><h2>Each layer up close</h2>${report.layers.map(
    (layer) =>
      html`<details><summary>${layer.name} <small>${shapeText(layer)}, ${layer.levels} values${layer.kernel === 'int8' && ', on integers'}</small></summary>${weightsPicture(layer)}${factList(layerFacts(layer))}</details>`,
  )}</section>
${leftOut(report)}
<section><h2>How it was made</h2>${factList(runFacts(report))}</section>
<footer class="quiet"><p>Made by gpfq ${VERSION} by greedy path-following quantization (Lybrand and Saab, arXiv 2010.15979): weights are rounded one after the other, each so that it makes up for the error of those before it on the calibration samples.</p></footer>
</main>
</body>
</html>
`
  return page.text
}

/** The outputs on samples that are kept out of calibration, beside those of plain rounding. */
function heldOutSection({ samples, outputs }: HeldOutReport): Html {
  const row = (title: string, difference: OutputDifference): Html =>
    html`<tr><th scope="row">${title}</th><td>${sqnrText(difference)}</td><td>${agreementText(difference)}</td></tr>`
  return html`<section><h2>On other samples</h2><p class="quiet">${samples} samples that are kept out of calibration: the outputs against those of the float network, and beside it with every weight plainly rounded.</p>${outputs.map(
    (difference) =>
      html`<table class="rows"><caption>${difference.output}</caption><thead><tr><th scope="col">network</th><th scope="col">SQNR</th><th scope="col">${agreementWords(difference)}</th></tr></thead><tbody>${row('quantized', difference)}${difference.rounding !== null && row('rounded', difference.rounding)}</tbody></table>`,
  )}</section>`
}

/**
 * The text above the table of errors.
 * @param compared errors of plain rounding are shown too
 * @example
 * paragraph.textContent = errorLegend(false)
 */
export function errorLegend(compared: boolean): string {
  const legend =
    'How far the outputs of each layer are from those of the float network: ‖Y − Ỹ‖ / ‖Y‖ over the calibration samples. Errors of earlier layers are in it.'
  return compared
    ? `${legend} Beside it, the same with every weight rounded to its nearest value. Further left is better.`
    : legend
}

/**
 * The operator and the shape of a layer's weights, groups · (inputs × neurons).
 * @param layer of a report
 * @example
 * shapeText({ op: 'Gemm', groups: 1, inputs: 784, neurons: 128 }) // 'Gemm 784 × 128'
 */
export function shapeText(layer: Pick<LayerReport, 'op' | 'groups' | 'inputs' | 'neurons'>): string {
  const one = `${layer.inputs} × ${layer.neurons}`
  return `${layer.op} ${layer.groups === 1 ? one : `${layer.groups} · (${one})`}`
}

const RANGE_WORDS: Readonly<Record<RangeKind, string>> = {
  static: 'static: fixed by calibration',
  dynamic: 'dynamic: found at every run, for all values of the input at once',
}

/**
 * Titles and texts of a layer's facts.
 * @param layer of a report
 * @example
 * for (const [title, text] of layerFacts(layer)) console.log(title, text)
 */
export function layerFacts(layer: LayerReport): readonly (readonly [title: string, text: string])[] {
  return [
    ['Inputs × neurons', shapeText(layer)],
    ['Values', `${layer.levels}, ${bitsFor(layer.levels)} bits`],
    ['Codes and scales', `${layer.codeBits.toFixed(2)} bits a weight`],
    [
      'Error',
      layer.relativeError === null
        ? 'not measured'
        : `${errorText(layer.relativeError)}, SQNR ${formatDecibels(layer.sqnrDb)}`,
    ],
    ...(layer.heldOutError === null ? [] : ([['On other samples', errorText(layer.heldOutError)]] as const)),
    ...(layer.judgement === null ? [] : ([['Codes by', judgementText(layer.judgement)]] as const)),
    ['Samples', layer.samples === 0 ? 'none' : `${layer.samples.toLocaleString('en')} rows`],
    ...(layer.deadInputs === 0
      ? []
      : ([['Always zero', `${layer.deadInputs} inputs: their weights were plainly rounded`]] as const)),
    ['Size', `${formatBytes(layer.bytesIn)} → ${formatBytes(layer.bytesOut)}`],
    ...(layer.rounded === null ? [] : ([['Rounded', layer.rounded]] as const)),
    ['Stored as', `${layer.format}: ${layer.formatReason}`],
    ['Runs on', `${layer.kernel === 'int8' ? 'integers' : 'floats'}: ${layer.kernelReason}`],
    ...(layer.ranges === null ? [] : ([['Range of its inputs', RANGE_WORDS[layer.ranges]]] as const)),
    ['Time', formatSeconds(layer.seconds)],
  ]
}

const judgementText = ({ kept, damping, reasons }: Judgement): string =>
  kept === 'path'
    ? 'path following'
    : `${kept}${damping > 0 ? `, λ = ${damping}` : ''}: ${reasons.join(', ')}`

function runFacts(report: QuantizeReport): readonly (readonly [string, string])[] {
  const { seconds } = report
  return [
    ...Object.entries(report.settings).map(([key, value]) => [wordsOf(key), describeSetting(value)] as const),
    [
      'time',
      `load ${formatSeconds(seconds.load)}, calibration ${formatSeconds(seconds.calibration)}, quantization ${formatSeconds(seconds.quantization)}, verification ${formatSeconds(seconds.verify)}`,
    ],
    ['threads', String(report.threads)],
    ['memory', memoryText(report)],
    ['ran in', report.runner],
  ]
}

/** scalePer as "scale per". */
function wordsOf(key: string): string {
  return key.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)
}

function factList(facts: readonly (readonly [string, string])[]): Html {
  return html`<dl class="facts">${facts.map(([title, text]) => html`<dt>${title}</dt><dd>${text}</dd>`)}</dl>`
}

function leftOut({ skipped, notes, foldedBatchNorms }: QuantizeReport): Html | null {
  if (skipped.length + notes.length + foldedBatchNorms.length === 0) return null
  return html`<section><h2>Notes</h2><ul class="plain">${
    foldedBatchNorms.length > 0 &&
    html`<li>${foldedBatchNorms.length} BatchNormalization nodes were folded into the weights before them.</li>`
  }${notes.map((note) => html`<li>${describeNote(note)}</li>`)}${skipped.map(
    ({ name, reason }) => html`<li>${name} stays as it is: ${reason}</li>`,
  )}</ul></section>`
}
