/** Blobs: what is read back is what was put, whole or not at all, whatever the length of the store's values. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Blobs, sha256 } from '#src/cluster/blobs.js'
import type { Store } from '#src/model/checkpoint/store.js'

const PIECE = 100

function memory(): { readonly store: Store; readonly values: Map<string, Uint8Array> } {
  const values = new Map<string, Uint8Array>()
  const store: Store = {
    get: async (name) => values.get(name) ?? null,
    async set(name, bytes) {
      expect(bytes.length).toBeLessThanOrEqual(20 * PIECE)
      values.set(name, bytes.slice())
    },
    async remove(name) {
      values.delete(name)
    },
  }
  return { store, values }
}

const bytes = fc.uint8Array({ minLength: 0, maxLength: 10 * PIECE })

describe('blobs', () => {
  it('come back, in pieces of at most the given length, and leave nothing when they are removed', async () => {
    await fc.assert(
      fc.asyncProperty(bytes, async (value) => {
        const { store, values } = memory()
        const blobs = new Blobs(store, PIECE)
        const hash = await blobs.put(value)
        expect(hash).toBe(sha256(value))
        expect(await blobs.find(hash)).toEqual(value)
        for (const [name, own] of values)
          if (name.startsWith('blobs/')) expect(own.length).toBeLessThanOrEqual(PIECE)
        await blobs.setResult('answer', hash)
        expect(await blobs.result('answer')).toEqual(value)
        await blobs.removeResult('answer')
        expect([...values.keys()]).toEqual([])
      }),
    )
  })

  it('count as missing when any piece is damaged or gone, and are put again', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ minLength: 1, maxLength: 10 * PIECE }),
        fc.nat(),
        fc.boolean(),
        async (value, at, gone) => {
          const { store, values } = memory()
          const blobs = new Blobs(store, PIECE)
          const hash = await blobs.put(value)
          const names = [...values.keys()]
          const name = names[at % names.length]!
          if (gone) values.delete(name)
          else
            values.set(
              name,
              values.get(name)!.map((byte, i) => (i === 0 ? byte ^ 1 : byte)),
            )
          expect(await blobs.find(hash)).toBeNull()
          await expect(blobs.get(hash, 'it')).rejects.toMatchObject({ code: 'INVALID_DATA' })
          await blobs.put(value)
          expect(await blobs.find(hash)).toEqual(value)
        },
      ),
    )
  })
})
