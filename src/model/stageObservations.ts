/**
 * What one shard of the samples says at one stage of a model: ranges of activations, observations of the inputs of the layers
 * to be quantized there, and the errors of layers quantized before. A value: it sums over shards, and travels as bytes.
 */
import { OutputErrors } from '../calibration/outputErrors.js'
import { mergeRanges, type RangeSums } from '../calibration/ranges.js'
import { GpfqError } from '../errors.js'
import { type ContainerKind, openContainer, packContainer } from '../methods/container.js'
import type { OutputSums } from '../methods/measure.js'
import { merge, Observations } from '../methods/observations.js'

export interface StageObservations {
  /** By the name of a capture's first layer. */
  readonly captures: ReadonlyMap<string, Observations>
  /** By tensor. */
  readonly ranges: ReadonlyMap<string, RangeSums>
  readonly errors: OutputErrors
  /** The same on samples that are kept out of calibration. */
  readonly heldOutErrors: OutputErrors
}

export const NOTHING_SEEN: StageObservations = {
  captures: new Map(),
  ranges: new Map(),
  errors: new OutputErrors(),
  heldOutErrors: new OutputErrors(),
}

/** Observations of all samples of two shards, those of `b` after those of `a`. @throws GpfqError INVALID_DATA where they differ in kind */
export function mergeStages(a: StageObservations, b: StageObservations): StageObservations {
  return {
    captures: mergeMaps('observations of layer', a.captures, b.captures, merge),
    ranges: mergeMaps('range of tensor', a.ranges, b.ranges, mergeRanges),
    errors: a.errors.with(b.errors),
    heldOutErrors: a.heldOutErrors.with(b.heldOutErrors),
  }
}

function mergeMaps<T>(
  what: string,
  a: ReadonlyMap<string, T>,
  b: ReadonlyMap<string, T>,
  join: (a: T, b: T) => T,
): ReadonlyMap<string, T> {
  return new Map(
    [...new Set([...a.keys(), ...b.keys()])].map((name) => {
      const [own, other] = [a.get(name), b.get(name)]
      if (own === undefined || other === undefined) {
        const place = `${what} '${name}'`
        throw new GpfqError('INVALID_DATA', { place, expected: 'it in every part', got: 'a part without' })
      }
      return [name, join(own, other)]
    }),
  )
}

const KIND: ContainerKind = { letters: 'STAG', version: 3, name: 'observations of a stage' }

/** As bytes, for a message or a file: a text that names what follows, then the observations of each capture. */
export function stageBytes({
  captures,
  ranges,
  errors,
  heldOutErrors,
}: StageObservations): Uint8Array<ArrayBuffer> {
  const parts = [...captures].map(([name, observations]) => ({ name, bytes: observations.bytes }))
  // Sums as float64, not in the text: JSON has no infinities.
  const sums = [errors, heldOutErrors].flatMap((own) =>
    [...own.sums.values()].flatMap((segments) =>
      [...segments.values()].flatMap(({ signal2, error2 }) => [signal2, error2]),
    ),
  )
  const segmentsOf = (own: OutputErrors): (readonly [string, readonly number[]])[] =>
    [...own.sums].map(([tensor, segments]) => [tensor, [...segments.keys()]])
  const names = {
    captures: parts.map(({ name, bytes }) => [name, bytes.length]),
    ranges: [...ranges].map(([tensor, { counts }]) => [tensor, [...counts.keys()]]),
    errors: segmentsOf(errors),
    heldOutErrors: segmentsOf(heldOutErrors),
  }
  const counted = [...ranges.values()].flatMap(({ low, high, counts }) => [low, high, ...counts.values()])
  const text = new TextEncoder().encode(JSON.stringify(names))
  return packContainer(
    KIND,
    [text.length],
    [text, ...parts.map(({ bytes }) => bytes), Float64Array.from([...counted, ...sums])],
  )
}

/** @throws GpfqError INVALID_DATA for bytes that are not observations of a stage, or damaged */
export function stageFrom(bytes: Uint8Array, place = 'observations of a stage'): StageObservations {
  const reader = openContainer(place, KIND, bytes)
  const fail = (): GpfqError =>
    new GpfqError('INVALID_DATA', { place, expected: 'names of captures and errors', got: 'another text' })
  const text = new TextDecoder().decode(reader.bytes(reader.whole('text', 0, bytes.length)))
  const names = parsed(text, fail)
  const entries = (name: string): readonly (readonly [string, unknown])[] => {
    const value: unknown = Reflect.get(names, name)
    if (!Array.isArray(value)) throw fail()
    return value.map((entry: unknown) => {
      if (!Array.isArray(entry) || typeof entry[0] !== 'string') throw fail()
      return [entry[0], entry[1]]
    })
  }
  const captures = new Map(
    entries('captures').map(([name, length]) => {
      if (typeof length !== 'number' || !Number.isSafeInteger(length) || length < 0) throw fail()
      return [name, Observations.from(reader.bytes(length), `${place}, layer '${name}'`)]
    }),
  )
  // A list of numbers by tensor, and how many float64s follow from each.
  const lists = (name: string): readonly { readonly tensor: string; readonly keys: readonly number[] }[] =>
    entries(name).map(([tensor, keys]) => {
      if (!Array.isArray(keys)) throw fail()
      return { tensor, keys: keys.map((key: unknown) => wholeNumber(key, fail)) }
    })
  const [counted, measured, heldOut] = [lists('ranges'), lists('errors'), lists('heldOutErrors')]
  const length = (all: typeof counted, each: number): number =>
    all.reduce((sum, { keys }) => sum + each * keys.length, 0)
  const values = reader
    .doubles(2 * counted.length + length(counted, 1) + length([...measured, ...heldOut], 2))
    .values()
  reader.end()
  const next = (): number => values.next().value ?? 0
  const ranges = counted.map(({ tensor, keys }): [string, RangeSums] => {
    const [low, high] = [next(), next()]
    return [tensor, { low, high, counts: new Map(keys.map((bin) => [bin, next()])) }]
  })
  const sumsOf = (lists: typeof measured): OutputErrors =>
    new OutputErrors(
      new Map(
        lists.map(({ tensor, keys }) => {
          const own = keys.map((segment): [number, OutputSums] => [
            segment,
            { signal2: next(), error2: next() },
          ])
          return [tensor, new Map(own)]
        }),
      ),
    )
  return { captures, ranges: new Map(ranges), errors: sumsOf(measured), heldOutErrors: sumsOf(heldOut) }
}

function parsed(text: string, fail: () => GpfqError): object {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null) return value
  } catch {}
  throw fail()
}

function wholeNumber(value: unknown, fail: () => GpfqError): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value
  throw fail()
}
