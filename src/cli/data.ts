/** DATA arguments as batches of a model's inputs, with notes on the terminal. */

import type { Runner } from '../calibration/runner.js'
import { rangeError } from '../checks.js'
import { constantInput } from '../data/constants.js'
import { describeFeedNote } from '../data/feedNote.js'
import { type DataSource, type FeedOptions, type FeedSet, loadFeeds } from '../data/feeds.js'
import { openData } from '../data/files.js'
import { type Carry, carryStates, checkStates } from '../model/carry.js'
import { graphOf } from '../onnx/model.js'
import { declaredValue, type Model } from '../onnx/openModel.js'
import { canBeSame } from '../onnx/stateNames.js'
import { isFloatType, isTensorType } from '../tensor/elements.js'
import { namedTensors } from '../tensor/named.js'
import { describeShape } from '../tensor/shapes.js'
import type { Feeds, RunnerInput } from '../tensor/tensor.js'
import type { CommandContext } from './command.js'
import { CLI_HINTS } from './hints.js'
import type { DataValues } from './options.js'
import { showSamples } from './progress.js'
import { printable, type Terminal } from './terminal.js'

/** Opens DATA arguments. A text before an equals sign that is the name of an input is one. */
export function openSources(
  data: readonly string[],
  inputs: readonly RunnerInput[],
): Promise<readonly DataSource[]> {
  const names = inputs.map(({ name }) => name)
  return Promise.all(data.map((argument) => openData(argument, names)))
}

/**
 * Constant inputs that switch rather than carry data, for planModel: integers and booleans of a shape that is fixed. Ifs that
 * follow from them are resolved. A state has other values at later steps.
 */
export function switchInputs(
  inputs: readonly RunnerInput[],
  { input: constants = {}, carry = {} }: Pick<DataValues, 'input' | 'carry'>,
): Feeds {
  const states = new Set(Object.values(carry))
  const isSwitch = ({ name, type, dims }: RunnerInput): boolean =>
    Object.hasOwn(constants, name) &&
    !states.has(name) &&
    isTensorType(type) &&
    !isFloatType(type) &&
    dims?.every((dim) => typeof dim === 'number') === true
  return namedTensors(
    inputs.filter(isSwitch).map((input) => {
      const tensor = constantInput(input, constants[input.name]!, undefined)
      return [input.name, tensor({ samples: 1, named: new Map() })]
    }),
  )
}

/** Opens samples of every input, and prints what is to be known of them. */
export async function openFeeds(
  sources: readonly DataSource[],
  inputs: readonly RunnerInput[],
  options: FeedOptions,
  { terminal, signal }: { readonly terminal: Terminal; readonly signal: CommandContext['signal'] },
): Promise<FeedSet> {
  const feeds = await loadFeeds(sources, inputs, { ...options, signal })
  for (const note of feeds.notes) terminal.say(`note: ${printable(describeFeedNote(note, CLI_HINTS))}`)
  return feeds
}

/**
 * Checks --carry against what the model's file declares, before any data is read.
 * @throws {RangeError} for names that are none, and for types and shapes that do not fit
 */
export function checkCarried({ carry = {} }: Pick<DataValues, 'carry'>, model: Model): void {
  checkStates(carry, model)
  const inputs = new Map(model.inputs.map((input) => [input.name, input]))
  const words = ({ dims, type }: RunnerInput): string => `${describeShape(dims)} of ${type}`
  for (const output of graphOf(model.proto).output.map(declaredValue)) {
    const input = inputs.get(carry[output.name] ?? '')
    if (input === undefined || canBeSame(input, output)) continue
    const expected = `${words(input)} from output '${output.name}', as input '${input.name}' takes it`
    throw rangeError('carry', expected, words(output))
  }
}

/** The states that a model carries through these batches, where --carry names any. */
export const carryOf = ({ carry }: Pick<DataValues, 'carry'>, { steps }: FeedSet): Carry | undefined =>
  carry === undefined || steps === null ? undefined : { states: carry, ...steps }

/** Batches with the states that the model carries through them, where --carry names any; else as they are. */
export async function withStates(
  feeds: FeedSet | undefined,
  values: Pick<DataValues, 'carry'>,
  {
    model,
    runner,
    terminal,
    signal,
  }: {
    readonly model: Model
    readonly runner: Runner
    readonly terminal: Terminal
    readonly signal: AbortSignal
  },
): Promise<AsyncIterable<Feeds> | undefined> {
  const carry = feeds === undefined ? undefined : carryOf(values, feeds)
  if (feeds === undefined || carry === undefined) return feeds
  const show = showSamples(terminal, 'carrying states')
  const onProgress = (done: number): void => show(done, feeds.samples)
  return carryStates({ runner, model: await model.runnable(), feeds, carry, signal, onProgress })
}
