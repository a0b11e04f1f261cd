import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatNpy, isNpy, parseNpy } from '#src/data/npy.js'
import { ascii, bytesOf, concat, hex, tensors } from './arrays.js'

/** A .npy file with this header and these elements. */
function npy(dict: string, elements: Uint8Array, version = 1): Uint8Array {
  const header = `${dict}\n`
  const length =
    version === 1
      ? [header.length & 255, header.length >> 8]
      : [header.length & 255, header.length >> 8, 0, 0]
  return concat(ascii('\x93NUMPY'), Uint8Array.of(version, 0, ...length), ascii(header), elements)
}

const header = (descr: string, order: string, shape: string) =>
  `{'descr': '${descr}', 'fortran_order': ${order}, 'shape': ${shape}, }`

describe('parseNpy', () => {
  it('reads a file that NumPy 2.4 wrote: numpy.save("one.npy", numpy.arange(2, dtype="i8"))', () => {
    const file = concat(
      hex('934e554d505901007600'),
      ascii(`${header('<i8', 'False', '(2,)')}`.padEnd(0x75)),
      hex('0a 0000000000000000 0100000000000000'),
    )
    expect(parseNpy(file)).toEqual({ type: 'int64', dims: [2], data: BigInt64Array.of(0n, 1n) })
  })

  it('reads back every array that formatNpy writes', () => {
    fc.assert(
      fc.property(tensors, fc.integer({ min: 0, max: 7 }), (tensor, shift) => {
        const file = formatNpy(tensor)
        const moved = concat(new Uint8Array(shift), file).subarray(shift) // elements no longer aligned
        const read = parseNpy(moved)
        expect(read.type).toBe(tensor.type)
        expect(read.dims).toEqual(tensor.dims)
        expect(bytesOf(read)).toEqual(bytesOf(tensor))
        expect(bytesOf(parseNpy(Buffer.from(moved.buffer, shift)))).toEqual(bytesOf(tensor))
      }),
    )
  })

  it('returns a view of the file where it can', () => {
    const file = formatNpy({ type: 'float32', dims: [3], data: Float32Array.of(1, 2, 3) })
    expect(parseNpy(file).data.buffer).toBe(file.buffer)
  })

  it.each([
    ['>f4', '3f800000 c0000000', 'float32', [1, -2]],
    ['>u2', '0102 ffff', 'uint16', [258, 65535]],
    ['>i4', '00000001 fffffffe', 'int32', [1, -2]],
    ['>f8', '3ff0000000000000 c000000000000000', 'float64', [1, -2]],
    ['<u2', '0201 ffff', 'uint16', [258, 65535]],
    ['|b1', '00 01', 'bool', [0, 1]],
    ['|i1', '7f 80', 'int8', [127, -128]],
  ])('reads %s', (descr, elements, type, expected) => {
    const tensor = parseNpy(npy(header(descr, 'False', '(2,)'), hex(elements)))
    expect(tensor.type).toBe(type)
    expect(Array.from<number | bigint>(tensor.data)).toEqual(expected)
  })

  it('reads Fortran order as row-major', () => {
    // numpy.arange(6).reshape(2, 3) in Fortran order: columns follow one another.
    const file = npy(header('|u1', 'True', '(2, 3)'), Uint8Array.of(0, 3, 1, 4, 2, 5))
    expect(parseNpy(file)).toEqual({ type: 'uint8', dims: [2, 3], data: Uint8Array.of(0, 1, 2, 3, 4, 5) })
  })

  it('reads any shape in Fortran order', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 4 }), (dims) => {
        const count = dims.reduce((a, b) => a * b, 1)
        const elements = new Uint8Array(count)
        // Element (i, j, …) holds its row-major number; position in the file is first axis fastest.
        for (let number = 0; number < count; number++) {
          let rest = number
          let position = 0
          const index = dims.map(() => 0)
          for (let axis = dims.length - 1; axis >= 0; axis--) {
            index[axis] = rest % dims[axis]!
            rest = Math.floor(rest / dims[axis]!)
          }
          for (let axis = dims.length - 1; axis >= 0; axis--) position = position * dims[axis]! + index[axis]!
          elements[position] = number
        }
        const shape = `(${dims.join(', ')}${dims.length === 1 ? ',' : ''})`
        const { data } = parseNpy(npy(header('|u1', 'True', shape), elements))
        expect(Array.from<number | bigint>(data)).toEqual(Array.from({ length: count }, (_, i) => i))
      }),
    )
  })

  it('reads versions 2 and 3, scalars, empty arrays and Python 2 shapes', () => {
    for (const version of [2, 3])
      expect(parseNpy(npy(header('|u1', 'False', '(2L,)'), Uint8Array.of(7, 8), version)).data).toEqual(
        Uint8Array.of(7, 8),
      )
    expect(parseNpy(npy(header('|u1', 'False', '()'), Uint8Array.of(7))).dims).toEqual([])
    expect(parseNpy(npy(header('<f4', 'False', '(0, 3)'), new Uint8Array())).data).toHaveLength(0)
  })

  it.each([
    [
      'an empty file',
      new Uint8Array(),
      /a\.npy: expected a NumPy \.npy file, got one that starts with nothing/,
    ],
    ['another kind', ascii('PK\x03\x04aaaaaa'), /starts with 50 4b 03 04/],
    [
      'a later version',
      npy(header('|u1', 'False', '(1,)'), Uint8Array.of(1), 4),
      /version 1, 2 or 3, got version 4/,
    ],
    [
      'a cut-off header',
      npy(header('|u1', 'False', '(1,)'), new Uint8Array()).subarray(0, 20),
      /header of \d+ bytes, got 20/,
    ],
    [
      'cut-off elements',
      npy(header('<f4', 'False', '(2, 2)'), new Uint8Array(15)),
      /16 bytes for float32 of shape \(2, 2\), got 15/,
    ],
    [
      'a structured array',
      npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", new Uint8Array(4)),
      /structured array/,
    ],
    ['objects', npy(header('|O', 'False', '(1,)'), new Uint8Array(8)), /NumPy type "\|O"/],
    ['complex numbers', npy(header('<c8', 'False', '(1,)'), new Uint8Array(8)), /NumPy type "<c8"/],
    ['no shape', npy("{'descr': '<f4'}", new Uint8Array(8)), /header with descr, fortran_order and shape/],
    [
      'a shape beyond counting',
      npy(header('<f4', 'False', '(99999999999, 99999999999)'), new Uint8Array(8)),
      /cut short/,
    ],
  ])('refuses %s', (_, file, message) => {
    expect(() => parseNpy(file, 'a.npy')).toThrow(message)
    expect(() => parseNpy(file, 'a.npy')).toThrow(expect.objectContaining({ code: 'INVALID_DATA' }))
  })

  it('never throws anything but INVALID_DATA, whatever the bytes', () => {
    const valid = formatNpy({ type: 'uint16', dims: [2, 3], data: new Uint16Array(6) })
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(valid.length - 1), fc.integer({ min: 0, max: 255 })), { maxLength: 4 }),
        fc.nat(valid.length),
        (changes, length) => {
          const file = valid.slice(0, length)
          for (const [at, byte] of changes) if (at < length) file[at] = byte
          try {
            parseNpy(file)
          } catch (error) {
            expect(error).toMatchObject({ code: 'INVALID_DATA' })
          }
        },
      ),
    )
  })
})

describe('formatNpy', () => {
  it('starts elements at a multiple of 64, as NumPy does', () => {
    fc.assert(
      fc.property(tensors, (tensor) => {
        const file = formatNpy(tensor)
        expect(isNpy(file)).toBe(true)
        expect((file.length - tensor.data.byteLength) % 64).toBe(0)
      }),
    )
  })
})
