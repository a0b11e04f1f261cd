/**
 * A solved layer as bytes: a text with what the report says of it, then its codes and scales, those of its rounded weight where it
 * was judged, and what corrects its bias. The first layer of a stage carries the notes of the stage.
 */
import { invalidData } from '../../errors.js'
import {
  type ContainerArray,
  type ContainerKind,
  openContainer,
  packContainer,
} from '../../methods/container.js'
import type { Note } from '../../notes.js'
import type { QuantizedWeight } from '../../onnx/layer.js'
import type { PathFault } from '../guard.js'
import type { PlannedLayer } from '../preparedModel.js'
import type { FinishedLayer } from '../solveStage.js'
import { field, parsed } from './names.js'

const KIND: ContainerKind = { letters: 'LAYR', version: 1, name: 'a solved layer' }

/** A layer of a checkpoint. */
export interface StoredLayer {
  readonly layer: FinishedLayer
  /** Of its stage. */
  readonly notes: readonly Note[]
}

/** A quantized weight without its arrays, and their lengths. */
interface WeightText extends Pick<QuantizedWeight, 'levels' | 'blockSize' | 'zero'> {
  readonly codes: number
  readonly scales: number
  readonly values: number
}

type Reported = Pick<FinishedLayer, 'samples' | 'deadInputs' | 'seconds' | 'zeros' | 'weights' | 'judgement'>

/** The text in front of the arrays. */
export interface LayerText extends Reported {
  /** The run that it is of. */
  readonly run: string
  readonly name: string
  readonly notes: readonly Note[]
  readonly quantized: WeightText
  /** `same`: the layer is rounded anyway. */
  readonly rounded: WeightText | 'same' | null
  /** Length of what corrects the bias, 0 for none. */
  readonly correction: number
}

export function layerBytes(run: string, { layer, notes }: StoredLayer): Uint8Array<ArrayBuffer> {
  const { planned, quantized, rounded, correction } = layer
  const { samples, deadInputs, seconds, zeros, weights, judgement } = layer
  const isSame = rounded === quantized
  const text: LayerText = {
    ...{ run, name: planned.name, notes },
    ...{ samples, deadInputs, seconds, zeros, weights, judgement },
    quantized: textOf(quantized),
    rounded: isSame ? 'same' : rounded && textOf(rounded),
    correction: correction?.length ?? 0,
  }
  const encoded = new TextEncoder().encode(JSON.stringify(text))
  return packContainer(
    KIND,
    [encoded.length],
    [
      encoded,
      ...arraysOf(quantized),
      ...(isSame || rounded === null ? [] : arraysOf(rounded)),
      ...(correction === undefined ? [] : [correction]),
    ],
  )
}

const textOf = ({ levels, blockSize, zero, codes, scales, values }: QuantizedWeight): WeightText => ({
  ...{ levels, blockSize, zero },
  ...{ codes: codes.length, scales: scales.length, values: values?.length ?? 0 },
})

const arraysOf = ({ codes, scales, values }: QuantizedWeight): readonly ContainerArray[] =>
  values === undefined ? [codes, scales] : [codes, scales, values]

/** What a file says before its arrays. @throws GpfqError INVALID_DATA for bytes that are no solved layer, or damaged */
export const layerText = (place: string, bytes: Uint8Array): LayerText => open(place, bytes).text

function open(place: string, bytes: Uint8Array) {
  const reader = openContainer(place, KIND, bytes)
  const text = parsed(reader.bytes(reader.whole('text', 0, bytes.length)))
  if (!isLayerText(text)) throw invalidData(place, 'what is known of a layer', 'another text')
  return { reader, text }
}

/**
 * The layer of a file.
 * @param planned the layer of the plan
 * @returns null where the file is of another run
 * @throws GpfqError INVALID_DATA for bytes that are no solved layer, damaged, or of another layer
 */
export function layerFrom(
  place: string,
  bytes: Uint8Array,
  run: string,
  planned: PlannedLayer,
): StoredLayer | null {
  const { reader, text } = open(place, bytes)
  if (text.run !== run) return null
  const { groups, inputs, neurons } = planned.layer
  const count = groups * inputs * neurons
  const fits = (weight: WeightText): boolean =>
    weight.levels === planned.levels && (weight.values || weight.codes) === count
  const { name, notes, quantized: own, rounded: other, correction: length } = text
  if (name !== planned.name || !fits(own)) throw invalidData(place, `layer '${planned.name}'`, `'${name}'`)
  const read = ({ levels, blockSize, zero, codes, scales, values }: WeightText): QuantizedWeight => ({
    ...{ levels, blockSize, zero },
    ...{ codes: reader.bytes(codes), scales: reader.floats(scales) },
    ...(values > 0 && { values: reader.floats(values) }),
  })
  const quantized = read(own)
  const rounded = other === 'same' ? quantized : other && read(other)
  const correction = reader.floats(length)
  reader.end()
  const { samples, deadInputs, seconds, zeros, weights, judgement } = text
  const layer: FinishedLayer = {
    ...{ planned, layer: planned.layer, quantized, rounded },
    ...{ samples, deadInputs, seconds, zeros, weights, judgement },
    ...(length > 0 && { correction }),
  }
  return { layer, notes }
}

/* What a text must hold. */

type Check = (value: unknown) => boolean

const has = (value: unknown, checks: Readonly<Record<string, Check>>): boolean =>
  Object.entries(checks).every(([name, check]) => check(field(value, name)))

const isNumber: Check = (value) => typeof value === 'number'
const isText: Check = (value) => typeof value === 'string'
const isLength: Check = (value) => Number.isSafeInteger(value) && Number(value) >= 0
const isList =
  (check: Check): Check =>
  (value) =>
    Array.isArray(value) && value.every(check)
const orNull =
  (check: Check): Check =>
  (value) =>
    value === null || check(value)

const KEPT = ['path', 'damped path', 'rounding']
const FAULTS: readonly PathFault[] = ['few rows', 'dominating inputs', 'loud rows', 'low rank']

const isErrors: Check = (value) => has(value, { kept: isNumber, path: isNumber, rounding: isNumber })
const isJudgement: Check = (value) =>
  has(value, {
    kept: (kept) => KEPT.some((word) => word === kept),
    damping: isNumber,
    reasons: isList((reason) => FAULTS.some((word) => word === reason)),
    errors: orNull(isErrors),
  })
const isHistogram: Check = (value) =>
  has(value, { edge: isNumber, counts: isList(isNumber), codes: isList(isNumber) })
const isNote: Check = (value) => has(value, { code: isText, place: orNull(isText), text: isText })
const isWeight: Check = (value) =>
  has(value, {
    ...{ levels: isLength, blockSize: isLength, zero: isNumber },
    ...{ codes: isLength, scales: isLength, values: isLength },
  })

const isLayerText = (value: unknown): value is LayerText =>
  has(value, {
    ...{ run: isText, name: isText, notes: isList(isNote) },
    ...{ samples: isLength, deadInputs: isLength, seconds: isNumber, zeros: isNumber },
    ...{ weights: orNull(isHistogram), judgement: orNull(isJudgement) },
    quantized: isWeight,
    rounded: (rounded) => rounded === null || rounded === 'same' || isWeight(rounded),
    correction: isLength,
  })
