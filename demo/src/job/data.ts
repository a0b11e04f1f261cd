/** The visitor's samples: images or array files, matched to the model's inputs, with labels where they come along. */
import {
  type DataSource,
  describeFeedNote,
  type FeedNote,
  type FeedSet,
  isImageName,
  labelsOfFeeds,
  loadFeeds,
  loadLabels,
  readArrays,
} from 'gpfq/data'
import { GpfqError, type RunnerInput, type Tensor } from 'gpfq/onnx'
import { inputNamed } from '../command.ts'
import type { DataSummary, Preprocessing } from './protocol.ts'

export interface Data {
  readonly summary: DataSummary
  readonly feeds: FeedSet
  readonly labels: Tensor | null
}

/** Names of files and arrays that hold labels. */
const LABELS = /label|target|class|^y$|^y[_.-]/i

/**
 * Reads the visitor's files.
 * @throws {GpfqError} INVALID_DATA
 */
export async function readData(
  files: readonly File[],
  inputs: readonly RunnerInput[],
  preprocessing: Preprocessing,
  wanted: { readonly labels: boolean; readonly samples: number | undefined },
): Promise<Data> {
  const isLabels = (file: File) =>
    wanted.labels && files.length > 1 && !isImageName(file.name) && LABELS.test(file.name)
  const labelFile = files.find(isLabels)
  const sources = sourcesOf(
    files.filter((file) => file !== labelFile),
    inputs,
  )
  const { scale, mean, std, layout } = preprocessing
  const feeds = await loadFeeds(sources, inputs, {
    samples: wanted.samples,
    scale: scale ?? undefined,
    mean: mean.length > 0 ? mean : undefined,
    std: std.length > 0 ? std : undefined,
    layout: layout ?? undefined,
  })
  const found = wanted.labels ? await labelsOf(labelFile, sources, inputs) : null
  if (wanted.labels && found === null)
    throw new GpfqError('INVALID_DATA', {
      place: 'test data',
      problem: 'the right answers are missing',
      hint: 'choose an .npz with an array named “label” in it, or a second file with “label” in its name',
    })
  const labels = found === null ? null : labelsOfFeeds(found.tensor, feeds, found.name)
  // An array of labels is used, although it is not an input.
  const isAboutLabels = (note: FeedNote) =>
    note.code === 'NOT_AN_INPUT' && note.names.every((name) => name === found?.array)
  return {
    summary: {
      name: nameOf(files),
      samples: feeds.samples,
      available: feeds.available,
      notes: feeds.notes
        .filter((note) => note.code !== 'NOT_SCALED' && !isAboutLabels(note))
        .map((note) => describeFeedNote(note)),
      unscaled: feeds.notes.some(({ code }) => code === 'NOT_SCALED'),
      labels: found?.name ?? null,
    },
    feeds,
    labels,
  }
}

/** All images together are one source; array files are one each, for the input of their name if there are several. */
function sourcesOf(files: readonly File[], inputs: readonly RunnerInput[]): readonly DataSource[] {
  const images = files.filter((file) => isImageName(file.name))
  const arrays = files.filter((file) => !isImageName(file.name))
  const sources: DataSource[] = arrays.map((file) => {
    const input = inputNamed(file.name, inputs)
    return { name: file.name, files: [byteSource(file)], ...(input === null ? {} : { input }) }
  })
  if (images.length > 0) sources.push({ name: nameOf(images), files: images.map(byteSource) })
  return sources
}

function byteSource(file: File) {
  return { name: file.name, bytes: async () => new Uint8Array(await file.arrayBuffer()) }
}

interface Labels {
  /** What the page calls them. */
  readonly name: string
  /** The name of their array in an archive with the samples; null for a file of their own. */
  readonly array: string | null
  readonly tensor: Tensor
}

/** The labels of a file of their own, or of an array in an archive with the samples. */
async function labelsOf(
  file: File | undefined,
  sources: readonly DataSource[],
  inputs: readonly RunnerInput[],
): Promise<Labels | null> {
  if (file !== undefined) {
    const source = { name: file.name, files: [byteSource(file)] }
    return { name: file.name, array: null, tensor: await loadLabels(source) }
  }
  for (const source of sources) {
    const [first] = source.files
    if (first === undefined || isImageName(first.name)) continue
    const arrays = await readArrays(first)
    if (arrays.kind !== 'named') continue
    const others = arrays.archive.names.filter((name) => !inputs.some((input) => input.name === name))
    const name = others.find((other) => LABELS.test(other))
    if (name === undefined) continue
    const tensor = await loadLabels({ ...source, input: name })
    return { name: `${name} in ${source.name}`, array: name, tensor }
  }
  return null
}

function nameOf(files: readonly File[]): string {
  const [first] = files
  if (first === undefined) return 'nothing'
  if (files.length === 1) return first.name
  return files.every((file) => isImageName(file.name))
    ? `${files.length} images`
    : files.map(({ name }) => name).join(', ')
}
