/**
 * Which source is for which input of the model: by its name, by the names of an archive's arrays, or because there is but
 * one. Names come from models and files and can be any text.
 */
import { typeError } from '../checks.js'
import { GpfqError } from '../errors.js'
import { HINTS } from '../hints.js'
import type { RunnerInput } from '../tensor/tensor.js'
import { ARRAY_BYTES } from './bound.js'
import { arrayColumn, type Column } from './column.js'
import type { FeedNote } from './feedNote.js'
import type { DataSource, FeedOptions } from './feeds.js'
import { imageColumns } from './imageColumn.js'
import { isImageName } from './images.js'
import { cut, listed } from './quote.js'
import { soundColumns } from './soundColumn.js'
import { type OpenFile, openArrays, pickEntry } from './source.js'
import { isSoundName } from './wav.js'

/**
 * The columns of each model input, by the input's name: those of several sources follow each other. Headers are read and
 * nothing else.
 * @param inputs those that have samples
 * @param axisOf the axis of an input that counts samples
 * @throws {GpfqError} INVALID_DATA
 */
export async function matchColumns(
  sources: readonly DataSource[],
  inputs: readonly RunnerInput[],
  axisOf: (input: RunnerInput) => number,
  options: FeedOptions,
  notes: FeedNote[],
): Promise<ReadonlyMap<string, readonly Column[]>> {
  const { maxBytes, signal, states = [] } = options
  const columns = new Map<string, readonly Column[]>()
  const add = (input: RunnerInput, found: readonly Column[]) => {
    columns.set(input.name, [...(columns.get(input.name) ?? []), ...found])
  }
  for (const source of sources) {
    checkSource(source)
    if (source.input !== undefined) checkNoState(source.name, [source.input], states)
    const [file] = source.files
    if (file === undefined)
      throw invalid(source.name, 'JPEG or PNG images, or .wav files', 'a folder without any')
    if (source.files.some(({ name }) => isImageName(name))) {
      const input = targetOf(source, inputs)
      add(input, await imageColumns(source.files, input, source.name, options))
      continue
    }
    if (isSoundName(file.name)) {
      const input = targetOf(source, inputs)
      add(input, await soundColumns(source.files, input, source.name, options, notes))
      continue
    }
    const arrays = await openArrays(file, maxBytes ?? ARRAY_BYTES, signal)
    const isChosen = source.input !== undefined || source.array !== undefined
    if (!isChosen && arrays.kind === 'named') checkNoState(source.name, arrays.archive.names, states)
    const named = isChosen ? [] : namedInputs(arrays, inputs, notes, source.name)
    const column = (input: RunnerInput, name = input.name): Column =>
      arrayColumn(pickEntry(arrays, name, source.name), source.name, axisOf(input))
    for (const input of named) add(input, [column(input)])
    if (named.length > 0) continue
    const input = targetOf(source, inputs)
    add(input, [column(input, source.array)])
  }
  return columns
}

/** For callers whose compiler does not check it. */
function checkSource(source: unknown): void {
  if (typeof source === 'object' && source !== null && 'files' in source && Array.isArray(source.files))
    return
  throw typeError({ place: 'sources', expected: 'objects { name, files }', got: typeof source })
}

/** A state is filled in by the network. @throws {GpfqError} INVALID_DATA for samples of one */
function checkNoState(place: string, names: readonly string[], states: readonly string[]): void {
  const state = states.find((name) => names.includes(name))
  if (state === undefined) return
  throw new GpfqError('INVALID_DATA', {
    place,
    expected: `no samples of input ${state}, which takes its values from the step before`,
    got: 'some',
    hint: HINTS['first-state'],
  })
}

/** The inputs that an archive has arrays for. Adds a note about the other arrays. */
function namedInputs(
  arrays: OpenFile,
  inputs: readonly RunnerInput[],
  notes: FeedNote[],
  place: string,
): readonly RunnerInput[] {
  if (arrays.kind !== 'named') return []
  const { names } = arrays.archive
  const inArchive = new Set(names)
  const wanted = new Set(inputs.map((input) => input.name))
  const found = inputs.filter((input) => inArchive.has(input.name))
  const unused = names.filter((name) => !wanted.has(name))
  if (found.length > 0 && unused.length > 0)
    notes.push({
      code: 'NOT_AN_INPUT',
      place,
      text: `not an input, not used: ${listed(unused)}`,
      names: unused,
    })
  return found
}

/** The input that a source without names of its own is for. */
function targetOf(source: DataSource, inputs: readonly RunnerInput[]): RunnerInput {
  const names = listed(inputs.map((input) => input.name))
  const [only] = inputs
  const input =
    source.input === undefined && inputs.length === 1
      ? only
      : inputs.find((candidate) => candidate.name === source.input)
  if (input !== undefined) return input
  if (source.input !== undefined)
    throw invalid(source.name, `the name of a model input (${names})`, JSON.stringify(cut(source.input)))
  throw new GpfqError('INVALID_DATA', {
    place: source.name,
    problem: `the model has ${inputs.length} inputs (${names}), and it is not said which one this is for`,
    hint: HINTS['npz-with-names'],
  })
}

const invalid = (place: string, expected: string, got: string): GpfqError =>
  new GpfqError('INVALID_DATA', { place, expected, got })
