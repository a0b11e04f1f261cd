/**
 * What one shard of the samples says at one stage of a model: observations of the inputs of the layers to be quantized there,
 * and the errors of layers quantized before. A value: it sums over shards, and travels as bytes.
 */
import { OutputErrors } from '../calibration/outputErrors.js'
import { GpfqError } from '../errors.js'
import { type ContainerKind, openContainer, packContainer } from '../methods/container.js'
import type { OutputSums } from '../methods/measure.js'
import { merge, Observations } from '../methods/observations.js'

export interface StageObservations {
  /** By the name of a capture's first layer. */
  readonly captures: ReadonlyMap<string, Observations>
  readonly errors: OutputErrors
}

/** Observations of all samples of two shards, those of `b` after those of `a`. @throws GpfqError INVALID_DATA where they differ in kind */
export function mergeStages(a: StageObservations, b: StageObservations): StageObservations {
  const names = new Set([...a.captures.keys(), ...b.captures.keys()])
  const captures = new Map(
    [...names].map((name) => {
      const [own, other] = [a.captures.get(name), b.captures.get(name)]
      if (own === undefined || other === undefined) {
        const place = `observations of layer '${name}'`
        throw new GpfqError('INVALID_DATA', { place, expected: 'them in every part', got: 'a part without' })
      }
      return [name, merge(own, other)]
    }),
  )
  return { captures, errors: a.errors.with(b.errors) }
}

const KIND: ContainerKind = { letters: 'STAG', version: 1, name: 'observations of a stage' }

/** As bytes, for a message or a file: a text that names what follows, then the observations of each capture. */
export function stageBytes({ captures, errors }: StageObservations): Uint8Array<ArrayBuffer> {
  const parts = [...captures].map(([name, observations]) => ({ name, bytes: observations.bytes }))
  // Sums as float64, not in the text: JSON has no infinities.
  const sums = [...errors.sums.values()].flatMap((segments) =>
    [...segments.values()].flatMap(({ signal2, error2 }) => [signal2, error2]),
  )
  const names = {
    captures: parts.map(({ name, bytes }) => [name, bytes.length]),
    errors: [...errors.sums].map(([tensor, segments]) => [tensor, [...segments.keys()]]),
  }
  const text = new TextEncoder().encode(JSON.stringify(names))
  return packContainer(
    KIND,
    [text.length],
    [text, ...parts.map(({ bytes }) => bytes), Float64Array.from(sums)],
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
  const measured = entries('errors').map(([tensor, segments]) => {
    if (!Array.isArray(segments)) throw fail()
    return { tensor, segments: segments.map((segment: unknown) => wholeNumber(segment, fail)) }
  })
  const sums = reader.doubles(measured.reduce((count, { segments }) => count + 2 * segments.length, 0))
  reader.end()
  let at = 0
  const errors = measured.map(({ tensor, segments }) => {
    const own = segments.map((segment): [number, OutputSums] => [
      segment,
      { signal2: sums[at++]!, error2: sums[at++]! },
    ])
    return [tensor, new Map(own)] as const
  })
  return { captures, errors: new OutputErrors(new Map(errors)) }
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
