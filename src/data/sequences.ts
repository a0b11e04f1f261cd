/**
 * Batches in the order of time, for networks whose outputs are states that they take again at the next step. The samples of a
 * file of sound, of an array file or of a folder of images are the steps of a sequence. Step t of all sequences that have one
 * makes the batches of that step, so that a network runs on many sequences at once, and the order of samples does not depend on
 * the size of batches.
 */
import { GpfqError, invalidData } from '../errors.js'
import { HINTS } from '../hints.js'
import { namedTensors } from '../tensor/named.js'
import { describeShape } from '../tensor/shapes.js'
import type { RunnerInput } from '../tensor/tensor.js'
import { axisAt, type Batch, cutBatches, type Range, wholeBatches } from './batches.js'
import type { ReadyFeeder } from './feeder.js'
import type { FeedNote } from './feedNote.js'

/** Batches in the order of time, and what carries a state through them. */
export interface Steps {
  /** For each batch the sequence that each of its samples is a step of, by numbers from 0. */
  readonly sequences: readonly (readonly number[])[]
  /** The axis of each state that counts samples. */
  readonly axes: Readonly<Record<string, number>>
  /** Positions of the samples among those of the files that can be read. */
  readonly order: readonly number[]
}

/** What sets the size of batches. */
interface BatchRule {
  readonly batchAxes: Readonly<Record<string, number>>
  /** The name of the batch dimension. */
  readonly name: string | undefined
  /** The size of batches that the model fixes. */
  readonly fixed: number | undefined
  /** Their size where the model leaves it open. */
  readonly wanted: number
}

/**
 * The batches of a set: in the order of the files, or in that of time where there are states.
 * @throws {GpfqError} INVALID_DATA where the model's fixed batch and samples or states do not fit
 */
export function planBatches(
  feeders: readonly ReadyFeeder[],
  states: readonly RunnerInput[],
  rule: BatchRule,
  notes: FeedNote[],
): { readonly batches: readonly Batch[]; readonly batchSize: number; readonly steps: Steps | null } {
  const axes = states.map((state) => ({ state, axis: stateAxis(state, rule) }))
  const fixed = axes.reduce((size, { state, axis }) => batchOfState(state, axis, size), rule.fixed)
  const batchSize = fixed ?? rule.wanted
  if (states.length === 0) {
    const ranges = wholeBatches(cutBatches(feeders, batchSize), fixed, notes)
    return { batches: ranges.map((range) => [range]), batchSize, steps: null }
  }
  const { batches, sequences } = stepBatches(feeders, batchSize, fixed, notes)
  const known = axes.flatMap(({ state, axis }): [string, number][] =>
    axis === null ? [] : [[state.name, axis]],
  )
  return {
    ...{ batches, batchSize },
    steps: {
      sequences,
      axes: namedTensors(known),
      order: batches.flatMap((batch) => batch.map(([at]) => at)),
    },
  }
}

/**
 * The axis of a state that counts samples: what the user says, else the one with the name of the batch dimension or its fixed
 * size, else the first one that the model leaves open. Null where there is none: then batches are of one sample.
 */
function stateAxis({ name, dims }: RunnerInput, { batchAxes, fixed, ...batch }: BatchRule): number | null {
  const own = axisAt(batchAxes, name)
  if (own !== undefined || dims === null) return own ?? 0
  const found = [
    dims.findIndex((dim) => dim !== null && dim === batch.name),
    dims.findIndex((dim) => dim !== null && dim === fixed),
    dims.findIndex((dim) => typeof dim !== 'number'),
  ]
  return found.find((axis) => axis >= 0) ?? null
}

/** The size of batches that a state allows too. @param size that of the other inputs; undefined for any */
function batchOfState({ name, dims }: RunnerInput, axis: number | null, size: number | undefined) {
  const own = axis === null ? 1 : dims?.[axis]
  if (typeof own !== 'number' || own === (size ?? own)) return typeof own === 'number' ? own : size
  throw new GpfqError('INVALID_DATA', {
    place: `input ${name}`,
    expected: `a state of ${size} ${size === 1 ? 'sample' : 'samples'}, as the model's batches have`,
    got: `shape ${describeShape(dims)}`,
    hint: HINTS['batch-axis'],
  })
}

/**
 * Step after step of all sequences.
 * @param fixed the size of batches that the model fixes: then so many sequences run together, as long as the shortest of them
 * @throws {GpfqError} INVALID_DATA for inputs with different sequences, or too few for the model's batch
 */
function stepBatches(
  feeders: readonly ReadyFeeder[],
  batchSize: number,
  fixed: number | undefined,
  notes: FeedNote[],
): { readonly batches: readonly Batch[]; readonly sequences: readonly (readonly number[])[] } {
  const all = commonSequences(feeders)
  const ranges = fixed === undefined || fixed === 1 ? all : inGroups(all, fixed, notes)
  const shapeAt = (at: number): string => feeders.map(({ dims }) => dims(at, 1).join()).join(';')
  const batches: Range[][] = []
  const sequences: number[][] = []
  let going = ranges.map(([begin, end], sequence) => ({ begin, end, sequence }))
  for (let step = 0; going.length > 0; step++) {
    let shape: string | undefined
    for (const { begin, sequence } of going) {
      const at = begin + step
      const own = shapeAt(at)
      if (own !== shape || batches.at(-1)?.length === batchSize) {
        batches.push([])
        sequences.push([])
        shape = own
      }
      batches.at(-1)?.push([at, at + 1])
      sequences.at(-1)?.push(sequence)
    }
    going = going.filter(({ begin, end }) => begin + step + 1 < end)
  }
  return { batches, sequences }
}

/** The sequences, which all inputs must have in common. */
function commonSequences(feeders: readonly ReadyFeeder[]): readonly Range[] {
  const [first, ...others] = feeders
  const ranges = first?.sequences ?? []
  const lengths = ({ sequences }: ReadyFeeder): string =>
    sequences.map(([begin, end]) => end - begin).join(', ')
  for (const other of others)
    if (first !== undefined && lengths(other) !== lengths(first))
      throw invalidData(
        'data',
        `sequences of ${lengths(first)} steps for input ${other.input.name}, as for input ${first.input.name}`,
        lengths(other),
      )
  return ranges
}

/** Groups of the model's fixed batch, each cut to its shortest sequence. */
function inGroups(sequences: readonly Range[], size: number, notes: FeedNote[]): readonly Range[] {
  const whole = Math.floor(sequences.length / size) * size
  if (whole === 0)
    throw invalidData('data', `at least ${size} sequences for the model's fixed batch`, sequences.length)
  const lengths = sequences.map(([begin, end]) => end - begin)
  const kept = sequences.slice(0, whole).map(([begin], i): Range => {
    const first = i - (i % size)
    return [begin, begin + Math.min(...lengths.slice(first, first + size))]
  })
  const all = lengths.reduce((a, b) => a + b, 0)
  const left = all - kept.reduce((sum, [begin, end]) => sum + end - begin, 0)
  const text = `the model takes batches of ${size}, so ${size} sequences run together, as long as the shortest of them: ${left} of ${all} samples are left out`
  if (left > 0) notes.push({ code: 'SAMPLES_LEFT_OUT', place: null, text })
  return kept
}
