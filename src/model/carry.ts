/**
 * States that a network carries along sequences: outputs that are inputs of the next step, as recurrent networks of speech have
 * them. Batches come in the order of time. Each says which sequence its samples are steps of, so that step t of many sequences
 * is one run. A sequence begins with the state that its first batch holds.
 */
import { eachUntilAborted } from '../aborts.js'
import { abortable } from '../calibration/abortable.js'
import type { Runner, RunnerSession } from '../calibration/runner.js'
import { joinSamples, takeSamples } from '../calibration/sampleRows.js'
import { samplesIn } from '../calibration/streamTensors.js'
import { kindOf, rangeError, typeError } from '../checks.js'
import { GpfqError, invalidData } from '../errors.js'
import { HINTS } from '../hints.js'
import { namedTensors, tensorNamed } from '../tensor/named.js'
import { describeShape } from '../tensor/shapes.js'
import type { Feeds, RunnerInput, Tensor } from '../tensor/tensor.js'
import { checkBatch, checkBatches, checkBytes, checkRun } from './arguments.js'

/** Outputs that are inputs of the next step, and the sequences that the samples of batches are steps of. */
export interface Carry {
  /** Outputs → the inputs that take their values at the next step, for example `{ stateN: 'state' }`. */
  readonly states: Readonly<Record<string, string>>
  /**
   * For each batch the sequence of each of its samples, by any numbers. Steps of a sequence are in batches that follow each
   * other in time, one step in each.
   */
  readonly sequences: readonly (readonly number[])[]
  /** The axis of each of these inputs that counts samples. Default: 0. */
  readonly axes?: Readonly<Record<string, number>>
}

/** Options of carryStates. */
export interface CarryStatesOptions {
  /** Runs the model. */
  readonly runner: Runner
  /** The bytes of the model, its external data packed in. */
  readonly model: Uint8Array
  /** Batches of model inputs in the order of time. The states in them count for first steps alone. */
  readonly feeds: Iterable<Feeds> | AsyncIterable<Feeds>
  readonly carry: Carry
  /** Aborts between batches. */
  readonly signal?: AbortSignal | undefined
  /** Called after every batch with the number of samples done. */
  readonly onProgress?: ((done: number) => void) | undefined
}

/**
 * Batches whose states are those that the model gave at the step before: calibration samples of a recurrent network. The model
 * is loaded when the batches are iterated, and closed at their end.
 * @param options the model, its batches in the order of time, and what is carried
 * @returns the batches, with the states filled in
 * @throws RangeError, TypeError for options; from the iteration GpfqError INVALID_DATA where a state does not fit, RUNTIME_FAILED
 * if the model does not run, the signal's reason if it aborts
 * @example
 * const states = { stateN: 'state' }
 * const feeds = await loadFeeds([{ name: 'speech', files }], inputs, { states: ['state'], constants: { sr: 16000 } })
 * const calibration = carryStates({ runner, model, feeds, carry: { states, ...feeds.steps } })
 */
export function carryStates(options: CarryStatesOptions): AsyncIterable<Feeds> {
  checkRun(options)
  checkBytes('model', options.model)
  checkBatches('feeds', options.feeds)
  checkCarry(options.carry)
  return { [Symbol.asyncIterator]: () => carried(options) }
}

async function* carried({ runner, model, feeds, carry, signal, onProgress }: CarryStatesOptions) {
  const session = await abortable(runner, signal).load(model)
  try {
    const run = carrying(session, carry)
    let samples = 0
    for await (const batch of eachUntilAborted(signal, feeds)) {
      const { feeds: whole } = await run(batch, [])
      samples += samplesIn(whole)
      onProgress?.(samples)
      yield whole
    }
  } finally {
    await session.close()
  }
}

/** Runs a session on one batch after another. `feeds` is the batch as it ran. */
export type RunStep = (
  batch: Feeds,
  fetches: readonly string[],
) => Promise<{ readonly feeds: Feeds; readonly outputs: Readonly<Record<string, Tensor>> }>

/** Where the state of a sequence is. */
interface Place {
  /** The inputs' values, of all samples of a batch. */
  readonly states: Feeds
  /** How many these are, and which of them is that of the sequence. */
  readonly samples: number
  readonly sample: number
}

/**
 * A function that runs batches in the order of time, with the states of each step before; without `carry` batches as they are.
 * @throws {RangeError} for names that are no outputs or inputs of the session
 */
export function carrying(session: RunnerSession, carry: Carry | undefined): RunStep {
  if (carry === undefined)
    return async (feeds, fetches) => ({ feeds, outputs: await session.run(feeds, fetches) })
  checkStates(carry.states, session)
  const states = Object.entries(carry.states)
  const axisOf = (input: string): number =>
    carry.axes !== undefined && Object.hasOwn(carry.axes, input) ? (carry.axes[input] ?? 0) : 0
  const declared = new Map(session.inputs.map((input) => [input.name, input]))
  const last = new Map<number, Place>()
  let index = 0
  return async (batch, fetches) => {
    checkBatch('feeds', batch)
    const place = `feeds, batch ${index + 1}`
    const sequences = carry.sequences[index++] ?? []
    const samples = samplesIn(batch)
    if (new Set(sequences).size !== samples || sequences.length !== samples)
      throw invalidData(place, `${samples} sequences, one for each sample`, `(${sequences.join(', ')})`)
    const filled = states.map(([, input]): [string, Tensor] => {
      const sources = sequences.map((sequence, sample) => {
        const before = last.get(sequence) ?? { states: batch, samples, sample }
        const tensor = tensorNamed(before.states, input)
        if (tensor === undefined) throw invalidData(place, `a first value of input '${input}'`, 'none')
        return { ...before, tensor }
      })
      return [input, gathered(`${place}, input '${input}'`, sources, axisOf(input))]
    })
    const feeds = namedTensors([...Object.entries(batch), ...filled])
    const outputs = await session.run(feeds, [...new Set([...fetches, ...Object.keys(carry.states)])])
    const given = states.map(([output, input]): [string, Tensor] => {
      const tensor = tensorNamed(outputs, output)
      return [input, checkedState(output, tensor, declared.get(input), axisOf(input), samples)]
    })
    const next = namedTensors(given)
    for (const [sample, sequence] of sequences.entries())
      last.set(sequence, { states: next, samples, sample })
    return { feeds, outputs }
  }
}

/** Samples of several tensors as one: the tensor itself where they are all of its samples in their order. */
function gathered(
  place: string,
  sources: readonly (Place & { readonly tensor: Tensor })[],
  axis: number,
): Tensor {
  const parts: { tensor: Tensor; samples: number; taken: number[] }[] = []
  for (const { tensor, samples, sample } of sources) {
    const part = parts.at(-1)
    if (part?.tensor === tensor) part.taken.push(sample)
    else parts.push({ tensor, samples, taken: [sample] })
  }
  const [first, ...others] = parts.map(({ tensor, samples, taken }) =>
    taken.length === samples && taken.every((sample, i) => sample === i)
      ? tensor
      : takeSamples(tensor, axis, taken),
  )
  if (first === undefined) throw invalidData(place, 'at least one sample', 'none')
  const shape = ({ type, dims }: Tensor): string => `${describeShape(dims.toSpliced(axis, 1))} of ${type}`
  const other = others.find((tensor) => shape(tensor) !== shape(first))
  if (other !== undefined)
    throw invalidData(place, `states of one shape, ${shape(first)} for each sample`, shape(other))
  return others.length === 0 ? first : joinSamples([first, ...others], axis)
}

/** An output as the state of the next step. @throws {GpfqError} INVALID_DATA where the input does not take it */
function checkedState(
  output: string,
  tensor: Tensor | undefined,
  input: RunnerInput | undefined,
  axis: number,
  samples: number,
): Tensor {
  const dims = input?.dims ?? null
  const fits =
    tensor !== undefined &&
    tensor.type === input?.type &&
    (dims === null || dims.length === tensor.dims.length) &&
    tensor.dims.every((dim, at) => {
      const own = dims?.[at]
      return typeof own !== 'number' || own === dim
    })
  if (tensor !== undefined && fits && (samples === 1 || tensor.dims[axis] === samples)) return tensor
  const found = tensor === undefined ? 'none' : `${describeShape(tensor.dims)} of ${tensor.type}`
  throw new GpfqError('INVALID_DATA', {
    place: `output '${output}'`,
    expected: fits
      ? `${samples} samples on axis ${axis}, as a state has them`
      : `${describeShape(dims)} of ${input?.type} for input '${input?.name}' of the next step`,
    got: found,
    ...(fits && { hint: HINTS['batch-axis'] }),
  })
}

/** The outputs and inputs of a model. */
interface Ports {
  readonly inputs: readonly RunnerInput[]
  readonly outputs: readonly string[]
}

/**
 * Checks which outputs go to which inputs.
 * @throws {RangeError} for a name that the model does not have, or an input that takes several outputs
 */
export function checkStates(states: Readonly<Record<string, string>>, { inputs, outputs }: Ports): void {
  const names = inputs.map(({ name }) => name)
  const taken = new Set<string>()
  for (const [output, input] of Object.entries(states)) {
    if (!outputs.includes(output))
      throw rangeError('carry', `an output of the model (${outputs.join(', ')})`, `'${output}'`)
    if (!names.includes(input))
      throw rangeError('carry', `an input of the model (${names.join(', ')})`, `'${input}'`)
    if (taken.has(input)) throw rangeError('carry', `one output for input '${input}'`, 'several')
    taken.add(input)
  }
}

/** Checks what callers without a compiler get wrong. */
export function checkCarry(carry: unknown): void {
  const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null
  if (!isObject(carry)) throw typeError({ place: 'carry', expected: 'an object', got: kindOf(carry) })
  const states: unknown = Reflect.get(carry, 'states')
  const sequences: unknown = Reflect.get(carry, 'sequences')
  const isNames = isObject(states) && Object.values(states).every((input) => typeof input === 'string')
  if (!isNames)
    throw typeError({ place: 'carry.states', expected: 'names of inputs by outputs', got: kindOf(states) })
  if (!Array.isArray(sequences) || !sequences.every((numbers) => Array.isArray(numbers)))
    throw typeError({
      place: 'carry.sequences',
      expected: 'an array of numbers for each batch',
      got: kindOf(sequences),
    })
}
