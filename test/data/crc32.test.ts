import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { crc32 } from '#src/data/crc32.js'
import { ascii } from './arrays.js'

it('crc32 is what zlib writes at the end of gzip', () => {
  expect(crc32(ascii('123456789'))).toBe(0xcbf43926)
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      expect(crc32(bytes)).toBe(gzipSync(bytes).readUInt32LE(gzipSync(bytes).length - 8))
    }),
  )
})
