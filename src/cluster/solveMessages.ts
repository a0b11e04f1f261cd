/** What travels where workers solve layers: the requests of a range of neurons with the recipe, and the solutions. */
import { invalidData } from '../errors.js'
import { METHODS, type Recipe } from '../methods/recipe.js'
import type { SolveRequest } from '../methods/solution.js'
import { solutionBytes, solutionFrom } from '../methods/solutionBytes.js'
import type { SolveResult } from '../methods/solve.js'
import { field } from '../model/checkpoint/names.js'
import type { Note } from '../notes.js'
import { isLength, pack, unpack } from './messages.js'

/** What is asked of observations. */
export interface Asked {
  readonly recipe: Recipe
  readonly requests: readonly SolveRequest[]
  /** For messages: the layers. */
  readonly place: string
}

export function askedBytes({ recipe, requests, place }: Asked): Uint8Array {
  const texts = requests.map(({ weights: _, scales: { blocks, blockSize }, ...others }) => {
    return { ...others, scales: { blocks, blockSize } }
  })
  return pack(
    { recipe, place, requests: texts },
    requests.flatMap(({ weights, scales }) => [weights, scales.values]),
  )
}

/** @throws GpfqError INVALID_DATA for bytes that are none */
export function askedFrom(bytes: Uint8Array): Asked {
  const { reader, text } = unpack('requests', bytes)
  const fail = () => invalidData('requests', 'a recipe and requests of layers', 'something else')
  const [recipe, place, texts] = [field(text, 'recipe'), field(text, 'place'), field(text, 'requests')]
  if (!isRecipe(recipe) || typeof place !== 'string' || !Array.isArray(texts)) throw fail()
  const requests = texts.map((own: unknown): SolveRequest => {
    if (!isRequest(own)) throw fail()
    const { groups, inputs, neurons } = own.shape
    const weights = reader.floats(groups * inputs * neurons)
    return {
      ...own,
      weights,
      scales: { ...own.scales, values: reader.floats(groups * own.scales.blocks * neurons) },
    }
  })
  reader.end()
  return { recipe, place, requests }
}

const isOr = (type: 'number' | 'boolean' | 'undefined', value: unknown, other: unknown): boolean =>
  typeof value === type || value === other

const isRecipe = (value: unknown): value is Recipe => {
  const sparsity = field(value, 'sparsity')
  return (
    METHODS.some((name) => name === field(value, 'method')) &&
    isLength(field(value, 'passes')) &&
    ['damping', 'seed', 'alignment', 'redundancy'].every((name) =>
      isOr('number', field(value, name), null),
    ) &&
    ['actOrder', 'preprocess'].every((name) => typeof field(value, name) === 'boolean') &&
    (sparsity === null || typeof field(sparsity, 'value') === 'number')
  )
}

/** A request without its arrays. */
type RequestText = Omit<SolveRequest, 'weights' | 'scales'> & {
  readonly scales: { readonly blocks: number; readonly blockSize: number }
}

const isRequest = (value: unknown): value is RequestText => {
  const [shape, scales, levels, ridge] = [
    field(value, 'shape'),
    field(value, 'scales'),
    field(value, 'levels'),
    field(value, 'ridge') ?? 0,
  ]
  const isPositive = (number: unknown): boolean => isLength(number) && Number(number) > 0
  return (
    ['groups', 'inputs', 'neurons'].every((name) => isPositive(field(shape, name))) &&
    ['blocks', 'blockSize'].every((name) => isPositive(field(scales, name))) &&
    Number(field(scales, 'blocks')) ===
      Math.ceil(Number(field(shape, 'inputs')) / Number(field(scales, 'blockSize'))) &&
    isLength(levels) &&
    Number(levels) >= 2 &&
    Number(levels) <= 256 &&
    typeof ridge === 'number' &&
    ridge >= 0 &&
    ['none', 'neuron', 'layer'].some((search) => search === field(value, 'search')) &&
    ['layer', 'planes'].every((name) => isLength(field(value, name) ?? 0)) &&
    typeof (field(value, 'withError') ?? false) === 'boolean'
  )
}

export function solvedBytes({ solutions, deadInputs, notes }: SolveResult): Uint8Array {
  const parts = solutions.map(solutionBytes)
  return pack({ deadInputs, notes, lengths: parts.map(({ length }) => length) }, parts)
}

/** @throws GpfqError INVALID_DATA for bytes that are none, or of other requests */
export function solvedFrom(bytes: Uint8Array, { requests, place }: Asked): SolveResult {
  const { reader, text } = unpack('solutions', bytes)
  const fail = () => invalidData('solutions', 'solutions of the requests', 'something else')
  const [deadInputs, notes, lengths] = [
    field(text, 'deadInputs'),
    field(text, 'notes'),
    field(text, 'lengths'),
  ]
  if (!isLength(deadInputs) || !isNotes(notes) || !Array.isArray(lengths)) throw fail()
  if (lengths.length !== requests.length || !lengths.every(isLength)) throw fail()
  const solutions = lengths.map((length, i) => {
    const solution = solutionFrom(reader.bytes(length), place)
    const { shape, levels } = requests[i]!
    const { groups, inputs, neurons } = solution
    if (groups !== shape.groups || inputs !== shape.inputs || neurons !== shape.neurons) throw fail()
    if (solution.levels !== levels) throw fail()
    return solution
  })
  reader.end()
  return { solutions, deadInputs, notes }
}

const isNotes = (value: unknown): value is readonly Note[] =>
  Array.isArray(value) &&
  value.every(
    (note: unknown) => typeof field(note, 'code') === 'string' && typeof field(note, 'text') === 'string',
  )
