/**
 * A few inputs with the answers of the float and of the quantized network, for classifiers: the likeliest class and its
 * share. Inputs that are images have a small picture.
 */
import type { Feeds, RunnerSession, Tensor } from 'gpfq/onnx'
import type { Answer, SampleAnswers } from 'gpfq/report'

const MOST = 12
/** Samples searched for some on which the networks differ. */
const SEARCHED = 512
/** A longer row of scores is not that of a classifier. */
const MOST_CLASSES = 100_000

interface Candidate extends Omit<SampleAnswers, 'image'> {
  readonly index: number
  readonly input: Tensor
  readonly row: number
}

export async function sampleAnswers(
  float: RunnerSession,
  quantized: RunnerSession,
  batches: AsyncIterable<Feeds>,
  labels: Tensor | null,
  signal: AbortSignal,
): Promise<readonly SampleAnswers[]> {
  const output = float.outputs[0]
  if (output === undefined) return []
  const same: Candidate[] = []
  const different: Candidate[] = []
  let offset = 0
  for await (const feeds of batches) {
    signal.throwIfAborted()
    const input = Object.values(feeds)[0]
    const a = (await float.run(feeds, [output]))[output]
    const b = (await quantized.run(feeds, [output]))[output]
    const batch = input?.dims[0] ?? 0
    if (input === undefined || a === undefined || b === undefined) return []
    for (let row = 0; row < batch; row++) {
      const one = answerOf(a, batch, row)
      const other = answerOf(b, batch, row)
      if (one === null || other === null) return []
      const index = offset + row
      const label = labels?.dims.length === 1 ? Number(labels.data[index]) : null
      const candidate = {
        index,
        name: `Sample ${index + 1}`,
        label,
        float: one,
        quantized: other,
        input,
        row,
      }
      if (one.class === other.class) same.push(candidate)
      else different.push(candidate)
    }
    offset += batch
    if (offset >= SEARCHED || different.length >= MOST) break
  }
  const differing = different.slice(0, MOST / 2)
  const wanted = MOST - differing.length
  const spread = same.filter(
    (_, i) => Math.floor((i * wanted) / same.length) !== Math.floor(((i - 1) * wanted) / same.length),
  )
  const chosen = [...spread, ...differing].sort((a, b) => a.index - b.index)
  return Promise.all(
    chosen.map(async ({ name, label, float, quantized, input, row }) => ({
      name,
      label,
      float,
      quantized,
      image: await pictureOf(input, row),
    })),
  )
}

/** The likeliest class of a row of scores (batch, classes); null if the output is something else. */
function answerOf(scores: Tensor, batch: number, row: number): Answer | null {
  const { data, dims } = scores
  if (!(data instanceof Float32Array)) return null
  const classes = data.length / batch
  const flat = dims.filter((dim, axis) => axis === 0 || dim !== 1)
  if (flat.length !== 2 || classes < 2 || classes > MOST_CLASSES) return null
  const values = data.subarray(row * classes, (row + 1) * classes)
  let best = 0
  for (let c = 1; c < classes; c++) if (values[c]! > values[best]!) best = c
  const largest = values[best]!
  // Scores that are probabilities need no softmax.
  const sum = values.reduce((total, value) => total + value, 0)
  if (values.every((value) => value >= 0) && Math.abs(sum - 1) < 1e-3) return { class: best, share: largest }
  const share = 1 / values.reduce((total, value) => total + Math.exp(value - largest), 0)
  return { class: best, share }
}

/** A sample as a PNG in a data: URL, its values stretched over 0..255; null if it is no image. */
async function pictureOf(input: Tensor, row: number): Promise<string | null> {
  const [, ...dims] = input.dims
  const [a, b, c] = dims
  if (dims.length !== 3 || a === undefined || b === undefined || c === undefined) return null
  const first = a === 1 || a === 3
  if (!first && c !== 1 && c !== 3) return null
  const [channels, height, width] = first ? [a, b, c] : [c, a, b]
  if (height < 4 || width < 4 || !(input.data instanceof Float32Array || input.data instanceof Uint8Array))
    return null
  const size = channels * height * width
  const values = Float32Array.from(input.data.subarray(row * size, (row + 1) * size))
  let least = Number.POSITIVE_INFINITY
  let most = Number.NEGATIVE_INFINITY
  for (const value of values) {
    least = Math.min(least, value)
    most = Math.max(most, value)
  }
  const pixels = new ImageData(width, height)
  for (let p = 0; p < width * height; p++) {
    for (let channel = 0; channel < 3; channel++) {
      const from = Math.min(channel, channels - 1)
      const value = values[first ? from * width * height + p : p * channels + from]!
      pixels.data[4 * p + channel] = (255 * (value - least)) / (most - least || 1)
    }
    pixels.data[4 * p + 3] = 255
  }
  return draw(pixels)
}

const LARGEST_SIDE = 168

async function draw(pixels: ImageData): Promise<string | null> {
  const canvas = new OffscreenCanvas(pixels.width, pixels.height)
  canvas.getContext('2d')?.putImageData(pixels, 0, 0)
  const shrink = LARGEST_SIDE / Math.max(pixels.width, pixels.height)
  const small = shrink < 1 ? shrunk(canvas, shrink) : canvas
  const blob = await small.convertToBlob({ type: 'image/png' })
  const bytes = new Uint8Array(await blob.arrayBuffer())
  return `data:image/png;base64,${btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''))}`
}

function shrunk(canvas: OffscreenCanvas, factor: number): OffscreenCanvas {
  const small = new OffscreenCanvas(Math.round(canvas.width * factor), Math.round(canvas.height * factor))
  small.getContext('2d')?.drawImage(canvas, 0, 0, small.width, small.height)
  return small
}
