/** Checkpoints in storages of unstorage, whose drivers hand bytes back in different forms. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createStorage, defineDriver } from 'unstorage'
import fileDriver from 'unstorage/drivers/fs-lite'
import memoryDriver from 'unstorage/drivers/memory'
import { afterAll, describe, expect, it } from 'vitest'
import { createOrtWebRunner } from '#src/calibration/onnxRuntime.js'
import { storageStore } from '#src/model/checkpoint/store.js'
import { quantizeModel } from '#src/model/quantizeModel.js'
import { convolutional, IMAGES } from './runs.js'

const folder = mkdtempSync(join(tmpdir(), 'gpfq-storage-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** A driver that holds texts alone, as that of Redis: unstorage writes bytes in base 64. */
const textDriver = defineDriver(() => {
  const texts = new Map<string, string>()
  return {
    name: 'texts',
    hasItem: (key: string) => texts.has(key),
    getItem: (key: string) => texts.get(key) ?? null,
    setItem(key: string, value: string) {
      texts.set(key, `${value}`)
    },
    getKeys: () => [...texts.keys()],
  }
})

describe.each([
  ['memory', () => memoryDriver()],
  ['files', () => fileDriver({ base: join(folder, 'files') })],
  ['texts', () => textDriver(undefined)],
] as const)('%s', (_, driver) => {
  const store = storageStore(createStorage({ driver: driver() }))

  it('hands back what was set', async () => {
    const bytes = Uint8Array.from({ length: 1000 }, (_, i) => (i * 37) & 255)
    expect(await store.get('layers/0000-a.gpfq')).toBeNull()
    await store.set('layers/0000-a.gpfq', bytes)
    expect(Buffer.compare((await store.get('layers/0000-a.gpfq'))!, bytes)).toBe(0)
    expect(await store.get('layers/0000-b.gpfq')).toBeNull()
  })

  it('keeps a run, which goes on from there', async () => {
    const runner = await createOrtWebRunner({ threads: 1 })
    const run = (checkpoint?: typeof store) =>
      quantizeModel(convolutional(), {
        ...{ calibration: IMAGES, runner, threads: 1 },
        ...(checkpoint && { checkpoint }),
      })
    const expected = await run()
    let left = 6
    const failing = {
      ...store,
      set(name: string, bytes: Uint8Array) {
        if (left-- === 0) throw new Error('the connection is lost')
        return store.set(name, bytes)
      },
    }
    await expect(run(failing)).rejects.toThrow('the connection is lost')
    const solved: string[] = []
    const counting = {
      ...store,
      set(name: string, bytes: Uint8Array) {
        if (/layers.*gpfq/.test(name)) solved.push(name)
        return store.set(name, bytes)
      },
    }
    expect(Buffer.compare((await run(counting)).model, expected.model)).toBe(0)
    expect(solved).toEqual(['layers/0002-left.gpfq', 'layers/0003-right.gpfq'])
  })
})

it('refuses what is no bytes', async () => {
  const store = storageStore({
    getItemRaw: async () => ({ a: 1 }),
    setItemRaw: async () => {},
    removeItem: async () => {},
  })
  await expect(store.get('run.json')).rejects.toThrow('storage, run.json: expected bytes, got object')
})
