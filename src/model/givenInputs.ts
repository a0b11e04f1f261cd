/**
 * Inputs that always have one value, the sampling rate of a speech model for example: the Ifs that follow from them are
 * resolved (src/onnx/resolveIfs.ts), and calibration is fed with them. A plan holds the values as text, so that it is JSON.
 */
import { checkFeeds } from '../calibration/checkFeeds.js'
import { GpfqError } from '../errors.js'
import type { Note } from '../notes.js'
import { encodeModel } from '../onnx/model.js'
import type { Model } from '../onnx/openModel.js'
import { type ResolvedIf, resolveIfs } from '../onnx/resolveIfs.js'
import { allocateElements, isTensorType } from '../tensor/elements.js'
import { namedTensors, tensorNamed } from '../tensor/named.js'
import type { Feeds, RunnerInput, Tensor } from '../tensor/tensor.js'
import { checkBatch } from './arguments.js'

/** The value of an input, as plain JSON. */
export interface GivenInput {
  readonly name: string
  readonly type: string
  readonly dims: readonly number[]
  /** Each element as text: integers of 64 bits are no JSON numbers. */
  readonly values: readonly string[]
}

/**
 * The values of inputs as a plan holds them.
 * @throws GpfqError INVALID_DATA for a name that is no input of the model, or a tensor that does not fit; TypeError
 */
export function givenInputs(values: Feeds, inputs: readonly RunnerInput[]): readonly GivenInput[] {
  checkBatch('inputs', values)
  const known = new Map(inputs.map((input) => [input.name, input]))
  return Object.entries(values).map(([name, { type, dims, data }]) => {
    const input = known.get(name)
    if (input === undefined)
      throw new GpfqError('INVALID_DATA', {
        place: 'inputs',
        expected: `an input of the model (${[...known.keys()].join(', ')})`,
        got: `'${name}'`,
      })
    checkFeeds('inputs', values, [input])
    return { name, type, dims: [...dims], values: Array.from<number | bigint, string>(data, String) }
  })
}

/** The tensors of a plan's values. @throws GpfqError INVALID_DATA for what is none, in a plan that was changed */
export function givenTensors(given: readonly GivenInput[]): ReadonlyMap<string, Tensor> {
  return new Map(
    given.map(({ name, type, dims, values }) => {
      if (!isTensorType(type)) throw misfit(name, 'a type of tensors', type)
      const data = allocateElements(type, values.length)
      for (const [i, text] of values.entries()) {
        if (data instanceof BigInt64Array || data instanceof BigUint64Array) data[i] = wide(name, text)
        else data[i] = Number(text)
      }
      return [name, { type, dims, data }]
    }),
  )
}

function wide(name: string, text: string): bigint {
  if (/^-?\d{1,20}$/.test(text)) return BigInt(text)
  throw misfit(name, 'an integer', text)
}

/** A model whose Ifs are resolved as far as the values of its inputs allow. */
export interface ResolvedModel {
  readonly model: Model
  readonly resolved: readonly ResolvedIf[]
}

const known = new WeakMap<Model, Map<string, Promise<ResolvedModel>>>()

/**
 * The model with its Ifs resolved; the model itself if none can be. Done once for a model and the same values.
 * @throws GpfqError INVALID_DATA, INVALID_MODEL where external data cannot be had
 */
export function resolvedModel(model: Model, given: readonly GivenInput[]): Promise<ResolvedModel> {
  if (given.length === 0) return Promise.resolve({ model, resolved: [] })
  const results = known.get(model) ?? new Map<string, Promise<ResolvedModel>>()
  known.set(model, results)
  const key = JSON.stringify(given)
  let result = results.get(key)
  if (result === undefined) {
    result = resolve(model, given)
    results.set(key, result)
    // A failed result is not cached; the next call tries again.
    result.catch(() => results.delete(key))
  }
  return result
}

async function resolve(model: Model, given: readonly GivenInput[]): Promise<ResolvedModel> {
  const tensors = givenTensors(given)
  const whole = await model.whole()
  const feeds = namedTensors(tensors)
  checkFeeds(
    'inputs',
    feeds,
    model.inputs.filter(({ name }) => tensors.has(name)),
  )
  const { model: proto, resolved } = resolveIfs(whole.proto, tensors)
  if (resolved.length === 0) return { model, resolved }
  const own: Model = {
    ...model,
    proto,
    whole: () => Promise.resolve({ ...whole, proto }),
    runnable: async () => encodeModel(proto),
  }
  return { model: own, resolved }
}

/** What the written model can no longer do. */
export function resolvedNotes(
  given: readonly GivenInput[],
  resolved: readonly ResolvedIf[],
): readonly Note[] {
  const values = given.map(
    ({ name, values: own }) => `${name} = ${own.length === 1 ? own[0] : `[${own.length} values]`}`,
  )
  return resolved.map(({ name, branch }) => ({
    code: 'IF_RESOLVED',
    place: `If '${name}'`,
    text: `the written model holds its ${branch} branch only, which runs with ${values.join(', ')}`,
  }))
}

/**
 * A batch with the values of inputs that it does not hold.
 * @throws GpfqError INVALID_DATA for a batch that holds another value
 */
export function withGiven(place: string, feeds: Feeds, given: ReadonlyMap<string, Tensor>): Feeds {
  if (given.size === 0) return feeds
  for (const [name, { data }] of given) {
    const own = tensorNamed(feeds, name)
    if (
      own === undefined ||
      (own.data.length === data.length && data.every((value, i) => value === own.data[i]))
    )
      continue
    throw new GpfqError('INVALID_DATA', {
      place,
      expected: `the value of input '${name}' that the model was planned with`,
      got: 'another one',
      hint: 'leave the input out of the batches',
    })
  }
  return namedTensors([
    ...Object.entries(feeds),
    ...[...given].filter(([name]) => !Object.hasOwn(feeds, name)),
  ])
}

function misfit(name: string, expected: string, got: string): GpfqError {
  return new GpfqError('INVALID_DATA', {
    place: `plan, input '${name}'`,
    expected,
    got,
    hint: 'plan the model again',
  })
}
