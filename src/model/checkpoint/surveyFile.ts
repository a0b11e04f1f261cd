/** The survey of mixed precision as bytes: the names of layers in a text, then their errors. */
import { invalidData } from '../../errors.js'
import { type ContainerKind, openContainer, packContainer } from '../../methods/container.js'
import type { surveyErrors } from '../precision/survey.js'
import { field, parsed } from './names.js'

/** As surveyErrors gives it. */
export type Survey = Awaited<ReturnType<typeof surveyErrors>>

const KIND: ContainerKind = { letters: 'SURV', version: 1, name: 'a survey of errors' }

export function surveyBytes(run: string, survey: Survey): Uint8Array<ArrayBuffer> {
  const layers = [...survey].map(([name, errors]) => [name, errors.length])
  const text = new TextEncoder().encode(JSON.stringify({ run, layers }))
  return packContainer(KIND, [text.length], [text, Float64Array.from([...survey.values()].flat())])
}

/**
 * @returns null where the file is of another run
 * @throws GpfqError INVALID_DATA for bytes that are no survey, or damaged
 */
export function surveyFrom(place: string, bytes: Uint8Array, run: string): Survey | null {
  const reader = openContainer(place, KIND, bytes)
  const value = parsed(reader.bytes(reader.whole('text', 0, bytes.length)))
  if (!isText(value)) throw invalidData(place, 'the names of layers', 'another text')
  if (value.run !== run) return null
  const total = value.layers.reduce((sum, [, count]) => sum + count, 0)
  const errors = reader.doubles(total)
  reader.end()
  let at = 0
  return new Map(
    value.layers.map(([name, count]) => {
      at += count
      return [name, [...errors.subarray(at - count, at)]]
    }),
  )
}

interface SurveyText {
  readonly run: string
  readonly layers: readonly (readonly [name: string, errors: number])[]
}

const isText = (value: unknown): value is SurveyText =>
  typeof field(value, 'run') === 'string' && isLayers(field(value, 'layers'))

const isLayers = (value: unknown): boolean =>
  Array.isArray(value) &&
  value.every(
    (entry: unknown) =>
      Array.isArray(entry) && typeof entry[0] === 'string' && Number.isSafeInteger(entry[1]) && entry[1] >= 0,
  )
