/** An abort while data is read: it ends waits at once, and long work between its pieces. */
import { gzipSync } from 'node:zlib'
import { zipSync } from 'fflate'
import { describe, expect, it } from 'vitest'
import { loadFeeds } from '#src/data/feeds.js'
import { formatNpy } from '#src/data/npy.js'
import type { DataFile } from '#src/data/source.js'

const WIDTH = 1024
const npy = formatNpy({ type: 'float32', dims: [16384, WIDTH], data: noise(16384 * WIDTH) })
const inputs = [{ name: 'x', type: 'float32', dims: [null, WIDTH] }] as const
const images = [{ name: 'x', type: 'float32', dims: [null, 3, 8, 8] }] as const
const reason = new Error('enough')

/** Numbers that do not compress to nothing, so that unpacking takes a while. */
function noise(count: number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => (Math.imul(i, 2654435761) >>> 8) / 2 ** 24)
}

const load = (file: DataFile, signal: AbortSignal, wanted: typeof inputs | typeof images = inputs) =>
  loadFeeds([{ name: file.name, files: [file, file] }], wanted, { signal })

const never = (name: string): DataFile => ({ name, bytes: () => new Promise(() => {}) })

describe('a file that never comes', () => {
  it.each([
    ['x.npy', inputs],
    ['x.png', images],
  ] as const)('%s', async (name, wanted) => {
    const stop = new AbortController()
    const loaded = load(never(name), stop.signal, wanted)
    setTimeout(() => stop.abort(reason))
    await expect(loaded).rejects.toBe(reason)
  })
})

describe('an archive that is long to read', () => {
  it.each([
    ['deflated', () => zipSync({ 'x.npy': npy }, { level: 1 })],
    ['stored', () => zipSync({ 'x.npy': npy }, { level: 0 })],
    ['gzipped', () => gzipSync(npy, { level: 1 })],
  ])('%s: timers go on, and it ends where it is', async (_, pack) => {
    const packed = pack()
    const stop = new AbortController()
    const loaded = load({ name: 'x', bytes: async () => packed }, stop.signal)
    setTimeout(() => stop.abort(reason), 1)
    await expect(loaded).rejects.toBe(reason)
  })
})
