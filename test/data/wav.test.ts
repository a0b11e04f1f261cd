/** Sound: every encoding against its definition, resampling against sines and by hand, pieces of the input's length. */
import { describe, expect, it } from 'vitest'
import { type FeedOptions, loadFeeds } from '#src/data/feeds.js'
import { resample, wavLayout, wavValues } from '#src/data/wav.js'
import type { RunnerInput } from '#src/tensor/tensor.js'
import { wavOf } from './sound.js'

const valuesOf = (bytes: Uint8Array) => wavValues(bytes, wavLayout(bytes, 'a.wav'))

describe('wavValues', () => {
  it.each([
    ['u8', 1, 8],
    ['s16', 1, 16],
    ['s24', 1, 24],
    ['s32', 1, 32],
    ['f32', 3, 32],
    ['f64', 3, 64],
  ] as const)('reads %s', (_, tag, bits) => {
    const values = [0, 0.5, -0.5, -1, 0.25]
    expect(Array.from(valuesOf(wavOf(values, { tag, bits })))).toEqual(values)
    expect(Array.from(valuesOf(wavOf(values, { tag, bits, extensible: true })))).toEqual(values)
  })

  it('mixes channels down by their mean, and passes over other chunks of odd length', () => {
    const bytes = wavOf([0.5, -0.5, 1, 0, 0.25, 0.75], { tag: 3, bits: 32, channels: 2, extra: 3 })
    expect(wavLayout(bytes, 'a.wav')).toMatchObject({ channels: 2, frames: 3, rate: 16000 })
    expect(valuesOf(bytes)).toEqual(Float32Array.of(0, 0.5, 0.5))
  })

  it('reads to the end of the file where the length is not known', () => {
    const bytes = wavOf([0.5, -0.5], { length: 0xffffffff })
    expect(valuesOf(bytes)).toEqual(Float32Array.of(0.5, -0.5))
  })

  it.each([
    ['a.wav: expected a .wav file, got another kind of file', new Uint8Array(40)],
    [
      'a.wav: expected PCM of 8, 16, 24 or 32 bits, or floats, got format 85 of 0 bits',
      wavOf([], { tag: 85, bits: 0 }),
    ],
    ['a.wav: expected channels and a sampling rate, got 1 and 0', wavOf([], { rate: 0 })],
    ['a.wav: expected values in the .wav file, got none', wavOf([]).subarray(0, 36)],
    ['a.wav: expected a whole header, got a part of one', wavOf([]).subarray(0, 30)],
  ])('refuses: %s', (message, bytes) => {
    expect(() => wavLayout(bytes, 'a.wav')).toThrow(message)
  })
})

describe('resample', () => {
  it('interpolates, and takes means where the rate falls', () => {
    expect(resample(Float32Array.of(0, 2, 4), 8000, 16000, 6)).toEqual(Float32Array.of(0, 1, 2, 3, 4, 4))
    // Weights 1/2, 1, 1/2 around every second value; at the beginning 1, 1/2.
    const expected = Float32Array.of((0 + 1) / 1.5, (1 + 4 + 3) / 2)
    expect(resample(Float32Array.of(0, 2, 4, 6), 16000, 8000, 2)).toEqual(expected)
  })

  it('keeps a sine of 440 Hz, and damps one above half the new rate', () => {
    const sine = (hertz: number, rate: number, length: number) =>
      Float32Array.from({ length }, (_, i) => Math.sin((2 * Math.PI * hertz * i) / rate))
    const low = resample(sine(440, 44100, 44100), 44100, 16000, 16000)
    const expected = sine(440, 16000, 16000)
    for (let i = 10; i < 15990; i++) expect(Math.abs(low[i]! - expected[i]!)).toBeLessThan(0.02)
    const high = resample(sine(15000, 44100, 44100), 44100, 16000, 16000)
    expect(Math.max(...high.subarray(10, 15990))).toBeLessThan(0.1)
  })
})

describe('sound as samples', () => {
  const file = (name: string, length: number, rate = 16000, first = 0) => ({
    name,
    bytes: async () =>
      wavOf(
        Array.from({ length }, (_, i) => (first + i) / 64),
        { rate },
      ),
  })
  const load = async (
    files: readonly ReturnType<typeof file>[],
    dims: RunnerInput['dims'],
    options: FeedOptions = {},
  ) => {
    const set = await loadFeeds([{ name: 'sounds', files }], [{ name: 'x', type: 'float32', dims }], options)
    const batches = []
    for await (const batch of set) batches.push(batch.x!)
    return { set, batches }
  }
  const numbers = (begin: number, end: number) =>
    Array.from({ length: end - begin }, (_, i) => (begin + i) / 64)

  it('is cut into pieces of the input, file by file, without the rest of each', async () => {
    const files = [file('b.wav', 9, 16000, 20), file('a.wav', 11), file('c.wav', 3)]
    const { set, batches } = await load(files, ['N', 1, 4])
    expect([set.samples, batches.length]).toEqual([4, 1])
    expect(batches[0]?.dims).toEqual([4, 1, 4])
    expect(Array.from(batches[0]!.data, Number)).toEqual([...numbers(0, 8), ...numbers(20, 28)])
    expect(set.notes.map(({ text }) => text)).toEqual([
      '1 of 3 files are shorter than the 4 samples of input x and are left out',
    ])
    const some = await load(files, ['N', 4], { samples: 3 })
    expect(some.batches[0]?.dims).toEqual([3, 4])
  })

  it('is a sample for each file where the length is open', async () => {
    const { batches } = await load([file('a.wav', 5), file('b.wav', 5), file('c.wav', 7)], ['N', 'L'])
    expect(batches.map(({ dims }) => dims)).toEqual([
      [2, 5],
      [1, 7],
    ])
    const pieces = await load([file('a.wav', 5), file('c.wav', 7)], ['N', 'L'], { soundLength: 3 })
    expect(pieces.batches.map(({ dims }) => dims)).toEqual([[3, 3]])
    await expect(load([file('a.wav', 5)], ['N', 4], { soundLength: 3 })).rejects.toThrow(
      'sounds: expected pieces of 4 samples, as input x has them, got 3',
    )
  })

  it('is resampled to a rate that is given, and has one rate otherwise', async () => {
    const { batches } = await load([file('a.wav', 8, 8000)], ['N', 4], { sampleRate: 16000 })
    expect(batches[0]?.dims).toEqual([4, 4])
    expect(Array.from(batches[0]!.data.subarray(0, 4), Number)).toEqual([0, 0.5, 1, 1.5].map((v) => v / 64))
    await expect(load([file('a.wav', 8), file('b.wav', 8, 8000)], ['N', 4])).rejects.toThrow(
      'b.wav: expected 16000 Hz, as the files before it, got 8000 Hz; give the rate of the network',
    )
  })

  it('needs an input of sound, long enough files, and memory', async () => {
    await expect(load([file('a.wav', 8)], ['N', 80, 30])).rejects.toThrow(
      'sounds: expected a model input (batch, length) or (batch, 1, length) for sound, got x of shape (N, 80, 30)',
    )
    await expect(load([file('a.wav', 3)], ['N', 4])).rejects.toThrow(
      'sounds: expected 4 samples of sound, got 3',
    )
    await expect(load([file('a.wav', 800)], ['N', 4], { maxBytes: 400 })).rejects.toThrow(
      /at most 400 bytes for the sound, got 3\.125 KiB/,
    )
    // The header says 1 Hz: 44,100 times as many samples, of which eight are wanted.
    const slow = await load([file('a.wav', 2000, 1)], ['N', 4], {
      sampleRate: 44100,
      samples: 2,
      maxBytes: 400,
    })
    expect(slow.batches[0]?.dims).toEqual([2, 4])
    expect(slow.set.available).toBe((2000 * 44100) / 4)
  })
})
