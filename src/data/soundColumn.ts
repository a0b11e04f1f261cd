/**
 * Sound as columns of float32 samples. The files of a source are cut into pieces of the input's length, from the beginning
 * of each, which can overlap; what is left at its end is not used. Where the model leaves the length open and none is given, a
 * file is one sample. The pieces of a file are a sequence.
 */
import { rangeError } from '../checks.js'
import { GpfqError } from '../errors.js'
import { HINTS } from '../hints.js'
import { createPauses } from '../platform/pauses.js'
import { describeShape, sampleDims } from '../tensor/shapes.js'
import type { RunnerInput } from '../tensor/tensor.js'
import { tooLarge } from './bound.js'
import type { Column } from './column.js'
import type { FeedNote } from './feedNote.js'
import type { FeedOptions } from './feeds.js'
import { bytesOf, type DataFile } from './source.js'
import { isSoundName, resample, resampledLength, type WavLayout, wavLayout, wavValues } from './wav.js'

type SoundOptions = Pick<FeedOptions, 'sampleRate' | 'soundLength' | 'soundStep' | 'signal'>

interface Sound {
  readonly file: DataFile
  readonly layout: WavLayout
  /** Of the file at the rate of the network. */
  readonly length: number
}

/**
 * The sound of a source, in the order of the names of its files.
 * @param options the rate of the network, without which the files must have one rate; the length where the model leaves it open
 * @throws {GpfqError} INVALID_DATA
 */
export async function soundColumns(
  files: readonly DataFile[],
  input: RunnerInput,
  place: string,
  { sampleRate, soundLength, soundStep, signal }: SoundOptions,
  notes: FeedNote[],
): Promise<readonly Column[]> {
  const { fixed, leading } = pieceOf(input, place, soundLength)
  if (soundStep !== undefined && fixed === null)
    throw new GpfqError('INVALID_DATA', {
      place,
      ...{ expected: `the length of a piece of input ${input.name} together with a step`, got: 'none' },
      hint: HINTS['sound-length'],
    })
  const sounds: Sound[] = []
  for (const file of files.filter(({ name }) => isSoundName(name)).toSorted(byName)) {
    const layout = wavLayout(await bytesOf(file, signal), file.name)
    const first = sounds[0]?.layout.rate ?? layout.rate
    if (sampleRate === undefined && layout.rate !== first)
      throw new GpfqError('INVALID_DATA', {
        place: file.name,
        ...{ expected: `${first} Hz, as the files before it`, got: `${layout.rate} Hz` },
        hint: HINTS['sample-rate'],
      })
    const length = resampledLength(layout.frames, layout.rate, sampleRate ?? layout.rate)
    sounds.push({ file, layout, length })
  }
  const least = fixed ?? 1
  const long = sounds.filter(({ length }) => length >= least)
  const [longest = 0] = sounds.map(({ length }) => length).toSorted((a, b) => b - a)
  if (long.length === 0)
    throw new GpfqError('INVALID_DATA', {
      place,
      expected: `${least} samples of sound`,
      got: String(longest),
    })
  if (long.length < sounds.length) {
    const text = `${sounds.length - long.length} of ${sounds.length} files are shorter than the ${least} samples of input ${input.name} and are left out`
    notes.push({ code: 'SOUND_LEFT_OUT', place, text })
  }
  const column = (part: readonly Sound[], length: number): Column => {
    const piece = { length, step: soundStep ?? length, dims: [...leading, length] }
    return soundColumn(part, piece, { place, sampleRate })
  }
  return fixed === null ? long.map((sound) => column([sound], sound.length)) : [column(long, fixed)]
}

const byName = (a: DataFile, b: DataFile): number => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0)

/** A piece of sound: its length, how far after it the next one begins, and its shape as a sample. */
interface Piece {
  readonly length: number
  readonly step: number
  readonly dims: readonly number[]
}

function soundColumn(
  sounds: readonly Sound[],
  { length: piece, step, dims }: Piece,
  { place, sampleRate }: { readonly place: string; readonly sampleRate: number | undefined },
): Column {
  const counts = sounds.map(({ length }) => Math.floor((length - piece) / step) + 1)
  let pieces: readonly Float32Array[] | undefined
  return {
    place,
    type: 'float32',
    samples: counts.reduce((sum, count) => sum + count, 0),
    isImages: false,
    dims,
    sequences: counts,
    async prepare({ samples, bound, signal }) {
      const pause = createPauses(signal)
      const found: Float32Array[] = []
      let held = 0
      for (const [i, { file, layout }] of sounds.entries()) {
        if (found.length >= samples) break
        await pause()
        const count = Math.min(counts[i]!, samples - found.length)
        const used = (count - 1) * step + piece
        held += 4 * used
        if (held > bound) throw tooLarge(place, 'the sound', bound, held)
        const values = wavValues(await bytesOf(file, signal), layout)
        const resampled = resample(values, layout.rate, sampleRate ?? layout.rate, used)
        for (let j = 0; j < count; j++) found.push(resampled.subarray(j * step, j * step + piece))
      }
      pieces = found
      return { skipped: [], sentinel: null }
    },
    async read(begin, end) {
      if (pieces === undefined) throw rangeError('column', 'to be prepared', 'not yet')
      const out = new Float32Array((end - begin) * piece)
      for (let i = begin; i < end; i++) out.set(pieces[i]!, (i - begin) * piece)
      return out
    },
  }
}

/** The length of a sample of sound, null where the model leaves it open, and the axes before it. */
function pieceOf(
  input: RunnerInput,
  place: string,
  soundLength: number | undefined,
): { readonly fixed: number | null; readonly leading: readonly 1[] } {
  const dims = sampleDims(input) ?? []
  const [channel, length] = dims.length === 1 ? [1, dims[0]] : dims
  if (dims.length === 0 || dims.length > 2 || channel !== 1)
    throw new GpfqError('INVALID_DATA', {
      place,
      expected: 'a model input (batch, length) or (batch, 1, length) for sound',
      got: `${input.name} of shape ${describeShape(input.dims)}`,
      hint: 'give an .npy file instead',
    })
  const own = typeof length === 'number' && length > 0 ? length : null
  if (own !== null && soundLength !== undefined && own !== soundLength)
    throw new GpfqError('INVALID_DATA', {
      place,
      expected: `pieces of ${own} samples, as input ${input.name} has them`,
      got: String(soundLength),
    })
  return {
    fixed: own ?? soundLength ?? null,
    leading: dims.length === 1 ? [] : [1],
  }
}
