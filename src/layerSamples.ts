/**
 * Samples of one layer as callers of the core API give them: rows of a dense layer's inputs, or images that a convolution
 * goes over. Here they become batches of sample rows.
 */
import { checkWhole, rangeError, typeError } from './checks.js'
import { preferCorrelation } from './methods/correlationPlan.js'
import { allPatches, type ImageShape, type PatchGeometry } from './methods/patches.js'
import type { SampleShape } from './methods/samplePlan.js'
import { denseGather, type Gather, paddedBytes, type SampleBatch } from './methods/samples.js'

/** Inputs of a layer: those of a dense one, or of a convolution. */
export interface LayerShape {
  /** Inputs N of a dense layer; samples are (rows, N). */
  readonly inputs?: number
  /** Or a convolution; samples are images (images, channels, height, width), and each output position is a row. */
  readonly convolution?: PatchGeometry & Omit<ImageShape, 'images'>
}

/** What one item of the samples is (a row, or an image) and how items become sample rows. */
export interface Items {
  /** For messages. */
  readonly name: 'rows' | 'images'
  readonly floats: number // of one item
  readonly rows: number // of one item
  readonly inputs: number
  readonly groups: number
  gather(items: number): Gather
}

/** Samples are staged in batches of about this many bytes: large enough to amortize a dispatch, small beside the panels. */
const BATCH_BYTES = 8 * 2 ** 20

/** @throws TypeError, RangeError */
export function itemsOf({ inputs, convolution }: LayerShape): Items {
  if (convolution === undefined) {
    if (inputs === undefined) {
      throw typeError({ place: 'inputs', expected: 'a number, or a convolution', got: 'neither' })
    }
    checkWhole('inputs', inputs, 1)
    return {
      name: 'rows',
      floats: inputs,
      rows: 1,
      inputs,
      groups: 1,
      gather: (rows) => denseGather(rows, inputs),
    }
  }
  const { channels, height, width, groups, kernel, strides, dilations, pads } = convolution
  const lengths = { channels, height, width, groups, kernel, strides, dilations, pads }
  for (const [name, values] of Object.entries(lengths)) {
    for (const value of [values].flat()) checkWhole(`convolution: ${name}`, value, name === 'pads' ? 0 : 1)
  }
  if (channels % groups > 0)
    throw rangeError('convolution: groups', `a divisor of ${channels} channels`, groups)
  const gather = (images: number): Gather =>
    allPatches(convolution, { images, channels, height, width, groups })
  const one = gather(1) // refuses an image smaller than the kernel
  return {
    name: 'images',
    floats: channels * height * width,
    rows: one.rows,
    inputs: one.inputs,
    groups,
    gather,
  }
}

const batchOf = ({ floats }: Items, count: number): number =>
  Math.max(1, Math.min(count, Math.floor(BATCH_BYTES / (4 * floats))))

/** The samples in batches. */
export function* batchesOf(items: Items, x: Float32Array, xq: Float32Array | null): Iterable<SampleBatch> {
  const count = x.length / items.floats
  const step = batchOf(items, count)
  for (let from = 0; from < count; from += step) {
    const to = Math.min(count, from + step)
    const part = (values: Float32Array): Float32Array =>
      values.subarray(from * items.floats, to * items.floats)
    yield { x: part(x), xq: xq && part(xq), gather: items.gather(to - from) }
  }
}

/** @throws TypeError */
export function checkFloats(place: string, values: unknown): void {
  if (values instanceof Float32Array) return
  throw typeError({ place, expected: 'a Float32Array', got: 'another kind of value' })
}

/** @throws TypeError, RangeError for samples that are not whole items, or a second stream that is not like the first */
export function checkSamples(
  { name, floats }: Items,
  x: Float32Array,
  xq: Float32Array | undefined,
  quantized: boolean,
): void {
  checkFloats('samples', x)
  if (x.length === 0 || x.length % floats > 0) {
    throw rangeError('samples', `${name} of ${floats} values`, `${x.length} values`)
  }
  if (quantized !== (xq !== undefined)) {
    throw typeError({
      place: 'quantizedSamples',
      expected: quantized ? 'samples in the quantized network' : 'none where quantized is false',
      got: quantized ? 'none' : 'some',
    })
  }
  if (xq === undefined) return
  checkFloats('quantizedSamples', xq)
  if (xq.length !== x.length) {
    throw rangeError('quantizedSamples', `as many values as samples, ${x.length}`, xq.length)
  }
}

/** @param count items of the samples that are observed at once */
export function sampleShape(
  items: Items,
  count: number,
  known: Pick<SampleShape, 'streamsEqual' | 'wholeG' | 'means' | 'segmentRows'>,
): SampleShape {
  const batchItems = batchOf(items, count)
  const gather = items.gather(batchItems)
  const shape: SampleShape = {
    ...known,
    ...{ rows: count * items.rows, inputs: items.inputs, groups: items.groups },
    batchBytes: 4 * batchItems * items.floats,
    batchPaddedBytes: paddedBytes(gather),
    batchRows: gather.rows,
  }
  return gather.convolution ? preferCorrelation(shape, gather.convolution) : shape
}
