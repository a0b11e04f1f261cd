/**
 * Calibration and evaluation data as batches of model inputs, from NumPy, IDX, image and .wav files. It uses no
 * file system: a source is an object that returns bytes, for instance a page's File.
 * @module gpfq/data
 */

export { type FolderLabels, labelsOfFeeds, labelsOfFolders } from './classes.js'
export type { ConstantValue } from './constants.js'
export { describeFeedNote, type FeedNote } from './feedNote.js'
export {
  type DataSource,
  type FeedOptions,
  type FeedSet,
  type Layout,
  loadFeeds,
  loadLabels,
} from './feeds.js'
export type { ImageSize } from './imageColumn.js'
export { isImageName, provideJpegWasm } from './images.js'
export type { NpzArchive } from './npz.js'
export type { Preprocessing } from './preprocess.js'
export type { Steps } from './sequences.js'
export { type ArrayFile, type DataFile, type ReadOptions, readArrays } from './source.js'
