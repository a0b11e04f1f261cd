/** Parts of files that say of themselves what is not so. */
import { ascii, concat } from './arrays.js'

/** A header of .npy with any text as its shape. */
export function npyHeader(
  shape: string,
  { fortran = false, descr = '|u1', length }: { fortran?: boolean; descr?: string; length?: number } = {},
): Uint8Array {
  const order = fortran ? 'True' : 'False'
  const dict = `{'descr': '${descr}', 'fortran_order': ${order}, 'shape': ${shape}, }`
  const text = ascii(dict.padEnd(length ?? dict.length))
  const prefix = new Uint8Array(12)
  prefix.set([0x93, ...ascii('NUMPY'), 2, 0])
  new DataView(prefix.buffer).setUint32(8, text.length, true)
  return concat(prefix, text)
}

/** A grey PNG whose header says a size, with packed pixels and other chunks. */
export function pngOf(
  width: number,
  height: number,
  packed: Uint8Array,
  others: readonly (readonly [name: string, content: Uint8Array])[] = [],
  { depth = 8, colour = 0, interlace = 0 } = {},
): Uint8Array {
  const header = new Uint8Array(13)
  const view = new DataView(header.buffer)
  view.setUint32(0, width)
  view.setUint32(4, height)
  header.set([depth, colour, 0, 0, interlace], 8)
  const chunks = [
    ['IHDR', header] as const,
    ...others,
    ['IDAT', packed] as const,
    ['IEND', new Uint8Array(0)] as const,
  ]
  return concat(
    Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10),
    ...chunks.map(([name, content]) => chunk(name, content)),
  )
}

function chunk(name: string, content: Uint8Array): Uint8Array {
  const length = new Uint8Array(4)
  new DataView(length.buffer).setUint32(0, content.length)
  return concat(length, ascii(name), content, new Uint8Array(4))
}
