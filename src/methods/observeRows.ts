/**
 * Observations of kind rows: Xq itself, (rows, groups·inputs), for the vertex walk of 2209.03487 (round.ts). The walk needs
 * fewer samples than inputs, so the rows take less room than H would.
 */
import { Observations } from './observations.js'
import type { Batches, ObserveOptions } from './observeOptions.js'
import { checkFinite, tooManyRows } from './sampleChecks.js'
import { observationShape, type SampleShape } from './samplePlan.js'
import type { Gather, SampleBatch } from './samples.js'

/**
 * Copies the samples.
 * @throws GpfqError INVALID_DATA for as many rows as inputs, or more, and for values that are not finite
 */
export async function observeRows(
  shape: SampleShape,
  batches: Batches,
  { place, signal, onProgress }: Pick<ObserveOptions, 'place' | 'signal' | 'onProgress'>,
): Promise<Observations> {
  const { rows, inputs, groups } = shape
  if (rows >= inputs) throw tooManyRows(place, rows, inputs)
  const values = new Float32Array(rows * groups * inputs)
  let row = 0
  for await (const batch of batches) {
    signal?.throwIfAborted()
    copyRows(batch, values.subarray(row * groups * inputs))
    row += batch.gather.rows
    onProgress?.(row / rows)
  }
  const found = {
    ...observationShape(shape),
    kind: 'rows' as const,
    wholeG: false,
    means: false,
    convolution: null,
  }
  const observations = new Observations(found, row, true, true, [{ values, means: new Float64Array(0) }])
  checkFinite(observations, place)
  return observations
}

/** The rows of a batch in the quantized network, (rows, groups·inputs). */
function copyRows({ x, xq, gather }: SampleBatch, to: Float32Array): void {
  const { rows, inputs, groups, groupBytes, rowAt, columnAt } = gather
  const values = padded(xq ?? x, gather)
  let at = 0
  for (let r = 0; r < rows; r++) {
    for (let g = 0; g < groups; g++) {
      const from = (g * groupBytes + rowAt[r]!) / 4
      for (let t = 0; t < inputs; t++) to[at++] = values[from + columnAt[t]! / 4]!
    }
  }
}

/** The tensor with the zeros around its planes that the gather counts on. */
function padded(values: Float32Array, { padding }: Gather): Float32Array {
  if (padding === null) return values
  const { planes, height, width, paddedHeight, paddedWidth, top, left } = padding
  const out = new Float32Array(planes * paddedHeight * paddedWidth)
  for (let line = 0; line < planes * height; line++) {
    const [plane, y] = [Math.floor(line / height), line % height]
    const to = (plane * paddedHeight + y + top) * paddedWidth + left
    out.set(values.subarray(line * width, (line + 1) * width), to)
  }
  return out
}
