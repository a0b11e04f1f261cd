/** CRC-32 as zip, gzip and PNG have it (ISO 3309, reflected, polynomial 0xedb88320), a byte at a time. */

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let rest = byte
  for (let bit = 0; bit < 8; bit++) rest = (rest & 1) === 0 ? rest >>> 1 : (rest >>> 1) ^ 0xedb88320
  return rest
})

export function crc32(bytes: Uint8Array): number {
  let rest = -1
  for (let i = 0; i < bytes.length; i++) rest = (rest >>> 8) ^ TABLE[(rest ^ bytes[i]!) & 0xff]!
  return ~rest >>> 0
}
