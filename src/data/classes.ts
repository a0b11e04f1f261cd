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
 * The labels of the samples that can be read: without those of images that were skipped.
 * @param labels of all samples in the files; the first axis counts samples
 * @param place their file in errors
 * @throws GpfqError INVALID_DATA if they are not as many as the samples in the files
 * @example
 * const labels = labelsOfFeeds(await loadLabels(source), feeds, source.name)
 */
export function labelsOfFeeds(labels: Tensor, feeds: FeedSet, place: string): Tensor {
  const [count, ...rest] = labels.dims
  const all = feeds.available + feeds.skipped.length
  if (count !== all)
    throw invalidData(place, `labels for the ${all} samples of the data`, `shape ${shapeText(labels.dims)}`)
  if (feeds.skipped.length === 0) return labels
  const size = elementCount(rest)
  const skipped = new Set(feeds.skipped)
  const data = labels.data.slice(0, feeds.available * size)
  let to = 0
  for (let from = 0; from < count; from++) {
    if (skipped.has(from)) continue
    for (let i = 0; i < size; i++) data[to * size + i] = labels.data[from * size + i] ?? 0
    to++
  }
  return { type: labels.type, dims: [feeds.available, ...rest], data }
}
