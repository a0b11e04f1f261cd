/** Labels of samples: of images the folders that they are in, and of images that are left out none. */
import { GpfqError, invalidData } from '../errors.js'
import { elementCount } from '../tensor/elements.js'
import type { Tensor } from '../tensor/tensor.js'
import type { DataSource, FeedSet } from './feeds.js'
import { sortedImages } from './imageColumn.js'
import { shapeText } from './quote.js'

/** Labels out of the names of folders. */
export interface FolderLabels {
  /** int32 (images): the position of each image's folder among `classes`. */
  readonly labels: Tensor
  /** The folders, sorted by name. */
  readonly classes: readonly string[]
}

/**
 * Labels of images that lie in one folder for each class: classes are numbered in the order of the folders' names, as
 * torchvision's ImageFolder does.
 * @param source images with the `folder` of each
 * @returns null if no image is in a folder of a class
 * @throws GpfqError INVALID_DATA if some are and some are not
 * @example
 * const found = labelsOfFolders({ name: 'photos', files }) // classes ['cat', 'dog'], labels 0 and 1
 */
export function labelsOfFolders(source: DataSource): FolderLabels | null {
  const images = sortedImages(source.files)
  const without = images.find(({ folder }) => folder === undefined)
  if (without !== undefined) {
    if (images.every(({ folder }) => folder === undefined)) return null
    throw new GpfqError('INVALID_DATA', {
      place: source.name,
      expected: 'every image in the folder of a class',
      got: `${without.name} outside`,
    })
  }
  const classes = [...new Set(images.map(({ folder = '' }) => folder))]
  const numbers = new Map(classes.map((name, i) => [name, i]))
  const data = Int32Array.from(images, ({ folder = '' }) => numbers.get(folder) ?? 0)
  return images.length === 0 ? null : { labels: { type: 'int32', dims: [data.length], data }, classes }
}

/**
 * The labels of the samples that can be read, in the order of the batches: without those of images that were skipped.
 * @param labels of all samples in the files; the first axis counts samples
 * @param place their file in errors
 * @throws GpfqError INVALID_DATA if they are not as many as the samples in the files
 * @example
 * const labels = labelsOfFeeds(await loadLabels(source), feeds, source.name)
 */
export function labelsOfFeeds(labels: Tensor, feeds: FeedSet, place: string): Tensor {
  const [count, ...rest] = labels.dims
  const { available, skipped, steps } = feeds
  const all = available + skipped.length
  if (count !== all)
    throw invalidData(place, `labels for the ${all} samples of the data`, `shape ${shapeText(labels.dims)}`)
  if (skipped.length === 0 && steps === null) return labels
  const left = new Set(skipped)
  const readable = Array.from({ length: count }, (_, i) => i).filter((i) => !left.has(i))
  const chosen = steps === null ? readable : steps.order.map((at) => readable[at] ?? 0)
  const size = elementCount(rest)
  const data = labels.data.slice(0, chosen.length * size)
  for (const [to, from] of chosen.entries())
    for (let i = 0; i < size; i++) data[to * size + i] = labels.data[from * size + i] ?? 0
  return { type: labels.type, dims: [chosen.length, ...rest], data }
}
