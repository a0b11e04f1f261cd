/**
 * The report page: whole and well-formed, in need of nothing, safe against names from strangers, and its numbers those of
 * the report it was made from.
 */
import { describe, expect, test } from 'vitest'
import { resolveSettings } from '#src/model/settings.js'
import { weightHistogram } from '#src/model/weightHistogram.js'
import type { LayerReport, QuantizeReport } from '#src/options.js'
import { linearAxis, logAxis } from '#src/report/axis.js'
import type { ReportDocument } from '#src/report/document.js'
import { errorPicture } from '#src/report/errorPicture.js'
import { escapeText, html } from '#src/report/html.js'
import { formatRunTime, timesFaster } from '#src/report/numbers.js'
import { renderReport } from '#src/report/page.js'
import { weightsPicture } from '#src/report/weightsPicture.js'

const HOSTILE = `<script>alert('&"')</script>`

function layer(name: string, relativeError: number | null, bytesOut = 1000): LayerReport {
  return {
    name,
    op: 'Conv',
    weight: `${name}.weight`,
    inputs: 27,
    neurons: 16,
    groups: 1,
    rounded: null,
    samples: relativeError === null ? 0 : 4096,
    levels: 3,
    format: 'packed',
    kernel: 'float',
    ranges: null,
    kernelReason: 'activations are not quantized',
    formatReason: 'smallest file',
    relativeError,
    sqnrDb: relativeError === null ? null : -20 * Math.log10(relativeError),
    heldOutError: relativeError,
    judgement: null,
    codeBits: 4.1,
    deadInputs: 2,
    zeros: 0.5,
    weights: { edge: 1.5, counts: [1, 5, 2], codes: [2, 4, 2] },
    bytesIn: 8000,
    bytesOut,
    seconds: 0.25,
  }
}

function report(layers: readonly LayerReport[]): QuantizeReport {
  return {
    bytesIn: 16_400,
    bytesOut: 2100,
    fastMath: false,
    threads: 2,
    runner: 'onnxruntime-web 1.30.0 (wasm, 2 threads)',
    settings: resolveSettings({ levels: 3, scalePer: { group: 32 } }),
    foldedBatchNorms: ['bn1'],
    layers,
    skipped: [{ name: HOSTILE, reason: 'its weights are computed' }],
    floats: { bytes: 16_000, quantized: 16_000, kept: [] },
    notes: [{ code: 'FLOAT_COPY_KEPT', place: HOSTILE, text: `a note on ${HOSTILE}` }],
    precision: null,
    heldOut: null,
    verified: [],
    speed: null,
    seconds: { load: 0.1, calibration: 1, quantization: 2, verify: 0.2, total: 3.3 },
    peakMemoryBytes: 5e6,
    processBytes: 3e8,
  }
}

const whole: ReportDocument = {
  model: HOSTILE,
  output: `small ${HOSTILE}.onnx`,
  report: report([layer('conv1', 0.0123), layer(HOSTILE, 0.234, 2000)]),
  rounded: report([layer('conv1', 0.0456), layer(HOSTILE, 0.567)]),
  accuracy: {
    float: { top1: 0.9123, top5: 1, samples: 100, seconds: 1 },
    rounded: { top1: 0.4321, top5: 1, samples: 100, seconds: 1 },
    quantized: { top1: 0.8765, top5: 1, samples: 100, seconds: 1 },
  },
  answers: [
    {
      name: 'Sample 1',
      image: 'data:image/png;base64,AAAA',
      label: 3,
      float: { class: 3, share: 0.9 },
      quantized: { class: 5, share: 0.6 },
    },
  ],
}

/** Elements that HTML closes by itself. */
const VOID = new Set(['meta', 'img', '!doctype'])

/** The names of all elements in order, after a check that each is closed where it should be. */
function elements(page: string): readonly string[] {
  const found: string[] = []
  const open: string[] = []
  const content = page.replace(/<style>.*?<\/style>/s, '')
  for (const [tag, slash, name = '', rest = ''] of content.matchAll(
    /<(\/?)([a-z!][a-z0-9]*)((?:[^<>"]|"[^"]*")*)>/gi,
  )) {
    if (slash === '/') expect(open.pop(), tag).toBe(name)
    else {
      found.push(name)
      if (!VOID.has(name) && !rest.endsWith('/')) open.push(name)
    }
  }
  expect(open).toEqual([])
  const angles = content.split('<').length - 1
  expect(angles).toBe((content.match(/<\/?[a-z!]/gi) ?? []).length)
  return found
}

/** The page as it reads, without its markup. */
function text(page: string): string {
  return page
    .replace(/<style>.*?<\/style>/s, '')
    .replace(/<[^>]*>/g, ' ')
    .replace(/\s+/g, ' ')
}

describe('the page', () => {
  test.for([
    ['with everything', whole],
    ['of the report alone', { model: 'a.onnx', output: 'b.onnx', report: whole.report }],
    ['without calibration', { model: 'a.onnx', output: 'b.onnx', report: report([layer('conv1', null)]) }],
    ['of a sequence model', { ...whole, accuracy: sequences() }],
  ] as const)('%s is well-formed and whole', ([, document]) => {
    const page = renderReport(document)
    const names = elements(page)
    expect(page.startsWith('<!doctype html>\n<html lang="en">')).toBe(true)
    for (const name of ['html', 'head', 'body', 'main', 'h1'])
      expect(names.filter((n) => n === name)).toHaveLength(1)
    expect(page).not.toMatch(/undefined|NaN|\[object|Infinity/)
  })

  test('needs nothing: no script, no address, no font, and forbids all of them', () => {
    const page = renderReport(whole)
    const names = new Set(elements(page))
    for (const name of ['script', 'link', 'iframe', 'object', 'a']) expect(names.has(name), name).toBe(false)
    expect(page).not.toMatch(/https?:|\/\/|url\(|@import|\son\w+=/)
    expect(page).toContain("default-src 'none'; style-src 'unsafe-inline'; img-src data:")
    for (const [, source] of page.matchAll(/src="([^"]*)"/g)) expect(source).toMatch(/^data:image\/png/)
  })

  test('escapes every name', () => {
    const page = renderReport(whole)
    expect(page).not.toContain('<script')
    expect(page.split(escapeText(HOSTILE)).length - 1).toBeGreaterThan(6)
  })

  test('says the numbers of the report', () => {
    const page = text(renderReport(whole))
    for (const words of [
      '2.1 kB was 16.4 kB, 7.8 times smaller',
      '2 bits',
      'conv1 1.23 % 4.56 %',
      '23.4 % 56.7 %',
      '8.0 kB 1.0 kB',
      '8.0 kB 2.0 kB',
      '87.6 %',
      'float 91.2 %, change −3.6',
      'GPFQ 87.6 % −3.6',
      'Rounded 43.2 % −48.0',
      '8 float weights',
      '50 % became zero',
      '2 inputs: their weights were plainly rounded',
      'group:32',
      '1 BatchNormalization nodes',
      'kernels and held tensors 5.0 MB; the whole process, with ONNX Runtime, 300 MB',
    ])
      expect(page).toContain(words)
  })
})

test('the memory of the process is left out where the platform does not say it', () => {
  const page = text(renderReport({ ...whole, report: { ...whole.report, processBytes: null } }))
  expect(page).toContain('kernels and held tensors 5.0 MB; ONNX Runtime takes its own besides')
})

describe('the speed', () => {
  const measured = { floatSeconds: 0.0259, quantizedSeconds: 0.0123, runs: 10, samples: 32 }
  const pageWith = (speed: QuantizeReport['speed']) =>
    renderReport({ ...whole, report: { ...whole.report, speed } })

  test('is said where it was measured', () => {
    const page = pageWith(measured)
    elements(page)
    for (const words of [
      'Speed 2.1 times faster 12.3 ms a run, was 25.9 ms',
      'Float, as it came 25.9 ms',
      'GPFQ 12.3 ms 2.1 times faster',
      'On 32 samples at a time, in turn, the shortest of 10 runs of each.',
      'Measured in onnxruntime-web 1.30.0 (wasm, 2 threads)',
    ])
      expect(text(page)).toContain(words)
    expect(text(pageWith(null))).not.toContain('Speed')
  })

  test('of one run of one sample', () => {
    const page = text(pageWith({ floatSeconds: 2, quantizedSeconds: 4, runs: 1, samples: 1 }))
    expect(page).toContain('2.0 times slower')
    expect(page).toContain('On 1 sample at a time, in turn, one run of each.')
  })

  test('is as fast within 5 %', () => {
    expect([0.9, 0.98, 1, 1.04, 1.3, 0.5].map((before) => timesFaster(before, 1))).toEqual([
      '1.1 times slower',
      ...['as fast', 'as fast', 'as fast'],
      '1.3 times faster',
      '2.0 times slower',
    ])
  })

  test('has three digits', () => {
    expect([1e-5, 0.00123456, 0.0123, 0.123, 0.9996, 12].map(formatRunTime)).toEqual([
      ...['0.0100 ms', '1.23 ms', '12.3 ms', '123 ms', '1.0 s', '12.0 s'],
    ])
  })
})

describe('activations', () => {
  const [first, second, third] = ['conv1', 'conv2', 'proj'].map((name) => layer(name, 0.1))
  const layers: LayerReport[] = [
    { ...first!, kernelReason: 'integer convolutions of 3×3 pay from 32 input channels on; it has 3' },
    { ...second!, kernel: 'int8', ranges: 'static', kernelReason: 'asked for int8' },
    { ...third!, kernel: 'int8', ranges: 'dynamic', kernelReason: HOSTILE },
  ]
  const settings = resolveSettings({
    activations: { bits: 8, ranges: { rule: 'percentile', percentile: 99.9 } },
  })
  const page = text(renderReport({ ...whole, report: { ...report(layers), settings } }))

  test('each layer says what it runs on, why, and what ranges its inputs have', () => {
    for (const words of [
      'Activations 8 bits 2 of 3 layers run on integers',
      'conv1 Conv 27 × 16, 3 values −1 0 1',
      'conv2 Conv 27 × 16, 3 values, on integers ',
      'Runs on floats: integer convolutions of 3×3 pay from 32 input channels on; it has 3 Time',
      'Runs on integers: asked for int8 Range of its inputs static: fixed by calibration Time',
      'Range of its inputs dynamic: found at every run, for all values of the input at once Time',
      'activations bits 8, ranges percentile:99.9,',
    ])
      expect(page).toContain(words)
    expect(page).not.toContain('<script')
  })

  test('are not among the numbers where they are not quantized', () => {
    const plain = text(renderReport(whole))
    expect(plain).not.toContain('Activations 8 bits')
    expect(plain).toContain('Runs on floats: activations are not quantized')
    expect(plain).not.toContain('Range of its inputs')
  })
})

function sequences() {
  const one = { nll: 1.4, perplexity: 4.06, nextToken: 0.62, samples: 10, positions: 2560, seconds: 1 }
  return { float: one, quantized: { ...one, perplexity: 4.51, nextToken: 0.6 } }
}

test('perplexity is said where there is one', () => {
  expect(text(renderReport({ ...whole, accuracy: sequences() }))).toContain('Perplexity: 4.06 → 4.51')
})

describe('html', () => {
  test('escapes parts, keeps its own, and leaves out what is not there', () => {
    const name = '<b>'
    expect(html`<p>${name}${html`<i>${'&'}</i>`}${null}${false}${[1, html`<br>`]}</p>`.text).toBe(
      '<p>&lt;b&gt;<i>&amp;</i>1<br></p>',
    )
  })
})

describe('axes', () => {
  test('linear: from zero to the largest value, ticks at round numbers', () => {
    const axis = linearAxis(230, String)
    expect(axis.ticks.map(({ value }) => value)).toEqual([0, 100, 200])
    expect([axis.at(0), axis.at(115), axis.at(230), axis.at(999)]).toEqual([0, 50, 100, 100])
  })

  test('logarithmic: at least a decade, with all values inside', () => {
    for (const values of [[0.02], [0.02, 0.03], [1e-5, 0.9], [0.5, 0, Number.NaN], []]) {
      const axis = logAxis(values, String)
      expect(axis.ticks.length).toBeGreaterThan(1)
      const inside = values.filter((value) => value > 0).map((value) => axis.at(value))
      for (const position of inside) expect(position >= 0 && position <= 100).toBe(true)
    }
    const axis = logAxis([0.01, 0.1], String)
    expect(axis.at(Math.sqrt(0.001))).toBeCloseTo(50)
  })
})

test('errors of zero and layers without any are drawn all the same', () => {
  const picture = errorPicture([layer('a', 0), layer('b', 0.1), layer('c', null)], undefined, 'GPFQ').text
  expect(picture).toContain('0 %')
  expect(picture).not.toContain('>c<')
  expect(picture).not.toContain('NaN')
})

describe('weights', () => {
  // (1 group, 4 inputs, 2 neurons); scales 1 and 10, so that both neurons look the same in units of them
  const weights = Float32Array.from([1, 10, -0.4, -4, 0.2, 2, -3, -30])
  const quantized = {
    levels: 3,
    codes: Uint8Array.from([2, 2, 1, 1, 1, 1, 0, 0]),
    scales: Float32Array.from([1, 10]),
    blockSize: 4,
    zero: 1,
  }
  const histogram = weightHistogram(weights, quantized, { groups: 1, inputs: 4, neurons: 2 })

  test('are counted in units of their scale, those beyond the edge in the outermost bin', () => {
    expect(histogram.edge).toBe(2.5)
    expect(histogram.counts.reduce((sum, count) => sum + count, 0)).toBe(8)
    expect(histogram.counts[0]).toBe(2)
    expect(histogram.counts.filter((count) => count > 0)).toEqual([2, 2, 2, 2])
    expect(histogram.codes).toEqual([2, 4, 2])
  })

  test.for([2, 3, 15, 16, 255, 256])('with %i values are drawn', (levels) => {
    const codes = Array.from({ length: levels }, (_, i) => i % 3)
    const picture = weightsPicture({
      name: 'w',
      levels,
      weights: { edge: levels / 2, counts: [1, 2, 3], codes },
    }).text
    elements(picture)
    expect(picture).toContain(`The ${levels} values`)
    expect(picture.match(/class="stick"/g)).toHaveLength(levels)
    expect(picture.match(/<text/g)?.length ?? 0).toBeLessThanOrEqual(17)
  })
})
