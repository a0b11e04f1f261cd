/** Digests of bytes in parts against those of Node's own SHA-256, and when they are those of other samples. */
import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { wholeShard } from '#src/calibration/shard.js'
import { Digest, PIECE } from '#src/model/checkpoint/digest.js'
import { sampleIdentity } from '#src/model/checkpoint/identity.js'
import type { Feeds, Tensor } from '#src/tensor/tensor.js'
import { randomFrom } from '../../random.js'

const sha256 = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest()

/** SHA-256 of the SHA-256 of all pieces; the last one, perhaps empty, is not whole. */
function twin(bytes: Uint8Array): string {
  const pieces = Array.from({ length: Math.floor(bytes.length / PIECE) + 1 }, (_, i) =>
    sha256(bytes.subarray(i * PIECE, (i + 1) * PIECE)),
  )
  return sha256(Buffer.concat(pieces)).toString('hex')
}

describe('Digest', () => {
  it.each([0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE + 5])(
    'hashes %i bytes in any parts',
    async (length) => {
      const random = randomFrom(length)
      const bytes = Uint8Array.from({ length }, (_, i) => (i * 2654435761) >>> 24)
      const digest = new Digest(undefined)
      for (let at = 0; at < length; ) {
        const end = Math.min(length, at + 1 + Math.floor(random() * 1.3 * PIECE))
        await digest.add(bytes.subarray(at, end))
        at = end
      }
      expect(await digest.result()).toBe(twin(bytes))
    },
  )

  it('ends with the signal', async () => {
    const digest = new Digest(AbortSignal.abort(new Error('enough')))
    await expect(digest.add(new Uint8Array(PIECE))).rejects.toThrow('enough')
  })
})

describe('samples', () => {
  const floats = (dims: number[], first: number): Tensor => {
    const length = dims.reduce((product, dim) => product * dim, 1)
    return { type: 'float32', dims, data: Float32Array.from({ length }, (_, i) => first + i) }
  }
  const rate: Tensor = { type: 'int64', dims: [], data: BigInt64Array.of(16000n) }
  const of = async (...batches: Feeds[]): Promise<string> =>
    (await sampleIdentity(wholeShard(batches), undefined)).samples

  it('are the same in batches of any size, with constants beside them', async () => {
    const whole = await of({ x: floats([6, 2], 0), rate })
    expect(await of({ x: floats([2, 2], 0), rate }, { x: floats([4, 2], 4), rate: { ...rate } })).toBe(whole)
  })

  it.each<[string, Feeds[]]>([
    ['values', [{ x: floats([6, 2], 1), rate }]],
    ['a shape', [{ x: floats([6, 1, 2], 0), rate }]],
    ['a type', [{ x: { ...floats([6, 2], 0), type: 'int32' }, rate }]],
    ['a name', [{ y: floats([6, 2], 0), rate }]],
    ['a constant', [{ x: floats([6, 2], 0), rate: { ...rate, data: BigInt64Array.of(8000n) } }]],
    ['an input more', [{ x: floats([6, 2], 0), rate, z: floats([6], 0) }]],
    ['fewer samples', [{ x: floats([5, 2], 0), rate }]],
    [
      'their order',
      [
        { x: floats([3, 2], 6), rate },
        { x: floats([3, 2], 0), rate },
      ],
    ],
  ])('that differ in %s are others', async (_, batches) => {
    expect(await of(...batches)).not.toBe(await of({ x: floats([6, 2], 0), rate }))
  })
})
