/** CRC-32 of zip, gzip and PNG (ISO 3309, reflected, polynomial 0xedb88320), computed a byte at a time from a table. */

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let rest = byte
  for (let bit = 0; bit < 8; bit++) rest = (rest & 1) === 0 ? rest >>> 1 : (rest >>> 1) ^ 0xedb88320
  return rest
})

/**
 * The checksum of `bytes` as an unsigned integer.
 * @param before the checksum of what comes before them
 */
export function crc32(bytes: Uint8Array, before = 0): number {
  let rest = ~before
  for (let i = 0; i < bytes.length; i++) rest = (rest >>> 8) ^ TABLE[(rest ^ bytes[i]!) & 0xff]!
  return ~rest >>> 0
}
