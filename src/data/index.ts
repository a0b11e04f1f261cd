/**
 * "gpfq/data": calibration and evaluation data as batches of model inputs, from NumPy, IDX and image files in memory. It
 * touches no file system: sources are whatever can hand over bytes, a page's File among them.
 */
export {
  type DataSource,
  type FeedOptions,
  type FeedSet,
  type Layout,
  loadFeeds,
  loadLabels,
} from './feeds.js'
export { isImageName, provideJpegWasm } from './images.js'
export type { NpzArchive } from './npz.js'
export type { Preprocessing } from './preprocess.js'
export { type ArrayFile, type ByteSource, readArrays } from './source.js'
