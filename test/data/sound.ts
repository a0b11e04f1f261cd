/** .wav files of values from −1 to 1. */
import { ascii, concat } from './arrays.js'

interface Wav {
  readonly tag?: number
  readonly bits?: number
  readonly channels?: number
  readonly rate?: number
  readonly extensible?: boolean
  /** Bytes of a chunk before the values. */
  readonly extra?: number
  /** What the header says of the bytes of values. */
  readonly length?: number
}

export function wavOf(
  values: readonly number[],
  { tag = 1, bits = 16, channels = 1, rate = 16000, extensible = false, extra, length }: Wav = {},
): Uint8Array {
  const size = bits / 8
  const data = new Uint8Array(values.length * size)
  const view = new DataView(data.buffer)
  values.forEach((value, i) => {
    const at = i * size
    const whole = Math.max(
      -(2 ** (bits - 1)),
      Math.min(2 ** (bits - 1) - 1, Math.round(value * 2 ** (bits - 1))),
    )
    if (tag === 3 && bits === 32) view.setFloat32(at, value, true)
    else if (tag === 3) view.setFloat64(at, value, true)
    else if (bits === 8) view.setUint8(at, whole + 128)
    else
      for (let byte = 0; byte < size; byte++) view.setUint8(at + byte, Math.floor(whole / 256 ** byte) & 255)
  })
  const format = new Uint8Array(extensible ? 40 : 16)
  const fields = new DataView(format.buffer)
  fields.setUint16(0, extensible ? 0xfffe : tag, true)
  fields.setUint16(2, channels, true)
  fields.setUint32(4, rate, true)
  fields.setUint16(14, bits, true)
  if (extensible) fields.setUint16(24, tag, true)
  const others = extra === undefined ? new Uint8Array(0) : chunk('LIST', new Uint8Array(extra))
  return concat(
    ascii('RIFF'),
    new Uint8Array(4),
    ascii('WAVE'),
    chunk('fmt ', format),
    others,
    chunk('data', data, length),
  )
}

function chunk(name: string, content: Uint8Array, length = content.length): Uint8Array {
  const size = new Uint8Array(4)
  new DataView(size.buffer).setUint32(0, length, true)
  return concat(ascii(name), size, content, new Uint8Array(content.length % 2))
}
