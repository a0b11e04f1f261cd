/** A list of a few inputs with the answers of the float and of the quantized network. */
import type { Answer, SampleAnswers } from './document.js'
import { type Html, html } from './html.js'

/**
 * The list of answers.
 * @param answers of both networks to the same inputs
 * @param name the name of the quantized network
 * @returns a list, styled by PICTURE_STYLE
 * @example
 * element.innerHTML = answersPicture(answers, 'GPFQ').text
 */
export function answersPicture(answers: readonly SampleAnswers[], name: string): Html {
  return html`<ul class="answers">${answers.map((sample) => {
    const same = sample.float.class === sample.quantized.class
    return html`<li class="${same ? 'same' : 'differs'}">${
      sample.image === null
        ? html`<p class="name">${sample.name}</p>`
        : html`<img src="${sample.image}" alt="${altOf(sample)}" width="84" height="84">`
    }<dl><dt>Float</dt><dd>${answerOf(sample.float)}</dd><dt>${name}</dt><dd>${answerOf(
      sample.quantized,
    )}</dd>${sample.label !== null && html`<dt>Right is</dt><dd>${sample.label}</dd>`}</dl>${
      !same && html`<p class="verdict">they differ</p>`
    }</li>`
  })}</ul>`
}

function answerOf(answer: Answer): Html {
  return html`<b>${answer.class}</b> <small>${Math.round(100 * answer.share)} %</small>`
}

function altOf({ name, label }: SampleAnswers): string {
  return label === null ? name : `${name}, labelled ${label}`
}
