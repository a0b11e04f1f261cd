/**
 * Reports as HTML with inline SVG. The functions are pure and need no DOM. The command line writes their
 * HTML to a file, and a page shows the same pictures.
 * @module gpfq/report
 */
export { accuracyPicture } from './accuracyPicture.js'
export { answersPicture } from './answersPicture.js'
export type { Accuracy, Answer, Evaluation, ReportDocument, SampleAnswers } from './document.js'
export { errorPicture, errorText } from './errorPicture.js'
export { type Fact, headline, methodName, timesSmaller } from './facts.js'
export type { Html } from './html.js'
export {
  bitsFor,
  formatBytes,
  formatDecibels,
  formatPercent,
  formatRunTime,
  formatSeconds,
  timesFaster,
} from './numbers.js'
export { errorLegend, layerFacts, renderReport, shapeText } from './page.js'
export { sizePicture } from './sizePicture.js'
export { speedPicture } from './speedPicture.js'
export { PALETTE, PICTURE_STYLE } from './style.js'
export { weightsPicture } from './weightsPicture.js'
