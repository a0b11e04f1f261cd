/** Inputs of real models: constants, states, dynamic images, sources of several shapes, float16. */
import { encode } from 'fast-png'
import { describe, expect, it } from 'vitest'
import { type DataSource, type FeedOptions, loadFeeds } from '#src/data/feeds.js'
import { formatNpy } from '#src/data/npy.js'
import type { Feeds, RunnerInput, Tensor } from '#src/tensor/tensor.js'

const sound: RunnerInput = { name: 'x', type: 'float32', dims: ['N', 4] }
const state: RunnerInput = { name: 'state', type: 'float32', dims: [2, 'N', 3] }
const rate: RunnerInput = { name: 'sr', type: 'int64', dims: [] }

const counting = (dims: readonly number[]): Tensor => ({
  type: 'float32',
  dims,
  data: Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => i),
})

const array = (tensor: Tensor, input: string, name = `${input}.npy`): DataSource => ({
  name,
  input,
  files: [{ name, bytes: async () => formatNpy(tensor) }],
})

async function load(
  sources: readonly DataSource[],
  inputs: readonly RunnerInput[],
  options: FeedOptions = {},
): Promise<Feeds[]> {
  const batches: Feeds[] = []
  for await (const batch of await loadFeeds(sources, inputs, options)) batches.push(batch)
  return batches
}

describe('constant inputs', () => {
  const x = array(counting([5, 4]), 'x')

  it('have the shape that the model declares, and the sizes of named dimensions', async () => {
    const mask: RunnerInput = { name: 'mask', type: 'int64', dims: ['N', 'length'] }
    const tokens: RunnerInput = { name: 'x', type: 'float32', dims: ['N', 'length'] }
    const batches = await load([x], [rate, state, tokens, mask], {
      batchSize: 3,
      constants: { sr: 16000, state: 'zeros', mask: 'ones' },
    })
    expect(batches.map(({ state }) => state?.dims)).toEqual([
      [2, 3, 3],
      [2, 2, 3],
    ])
    expect(batches[0]?.sr).toEqual({ type: 'int64', dims: [], data: BigInt64Array.of(16000n) })
    expect(batches[1]?.mask).toEqual({ type: 'int64', dims: [2, 4], data: new BigInt64Array(8).fill(1n) })
    // A tensor that stays the same is one object, so that samples can be taken out of batches.
    expect(batches[1]?.sr).toBe(batches[0]?.sr)
    // The first tensor of a batch counts its samples.
    expect(Object.keys(batches[0] ?? {})[0]).toBe('x')
  })

  it('are 1 where no other input tells the size, or that of the batch where its axis is said', async () => {
    const open: RunnerInput = { name: 'state', type: 'float16', dims: [2, null, 'width'] }
    const [batch] = await load([x], [sound, open], { constants: { state: 1.5 } })
    expect(batch?.state).toEqual({ type: 'float16', dims: [2, 1, 1], data: Uint16Array.of(0x3e00, 0x3e00) })
    const [other] = await load([x], [sound, open], { constants: { state: 'ones' }, batchAxes: { state: 1 } })
    expect(other?.state?.dims).toEqual([2, 5, 1])
  })

  it('take a number for each element', async () => {
    const sizes: RunnerInput = { name: 'size', type: 'int32', dims: [2] }
    const [batch] = await load([x], [sound, sizes], { constants: { size: [640, 480] } })
    expect(batch?.size).toEqual({ type: 'int32', dims: [2], data: Int32Array.of(640, 480) })
    await expect(load([x], [sound, sizes], { constants: { size: [1, 2, 3] } })).rejects.toThrow(
      'input size: expected one number, or 2 for shape (2), (2) here, got 3 numbers',
    )
  })

  it('are refused where they do not fit, before any data is read', async () => {
    const refused = (constants: FeedOptions['constants'], batchAxes?: FeedOptions['batchAxes']) =>
      expect(loadFeeds([x], [sound, rate], { constants, batchAxes })).rejects
    await refused({ sr: 1.5 }).toThrow('input sr: expected integers that fit int64, got 1.5 (float64)')
    await refused({ rs: 1 }).toThrow('constants: expected names of model inputs (x, sr), got "rs"')
    await refused({ sr: 1, x: 'zeros' }).toThrow(/name of a model input|samples of at least one input/)
    await refused({ sr: 1 }, { x: 2 }).toThrow('batchAxes, input x: expected an integer from 0 to 1, got 2')
    await refused({}).toThrow('data: expected samples for input sr, got none')
  })
})

describe('an axis of samples that is not the first', () => {
  // Element (a, n, b) is 100 a + 10 n + b.
  const states: Tensor = {
    type: 'float32',
    dims: [2, 5, 3],
    data: Float32Array.from(
      { length: 30 },
      (_, i) => 100 * Math.floor(i / 15) + 10 * (Math.floor(i / 3) % 5) + (i % 3),
    ),
  }
  const sources = [array(counting([5, 4]), 'x'), array(states, 'state')]
  const second = {
    type: 'float32',
    dims: [2, 2, 3],
    data: Float32Array.of(20, 21, 22, 30, 31, 32, 120, 121, 122, 130, 131, 132),
  }

  it('is found by the name of the batch dimension, also where the state comes first', async () => {
    for (const inputs of [
      [sound, state],
      [state, sound],
    ]) {
      const batches = await load(sources, inputs, { batchSize: 2 })
      expect(batches[1]?.state).toEqual(second)
      expect(batches[1]?.x?.dims).toEqual([2, 4])
      expect(batches[2]?.state?.dims).toEqual([2, 1, 3])
      expect(Object.keys(batches[0] ?? {})[0]).toBe('x')
    }
  })

  it('can be said, and takes the first samples alone', async () => {
    const open = { ...state, dims: [2, null, 3] }
    const batches = await load(sources, [sound, open], { batchSize: 2, samples: 4, batchAxes: { state: 1 } })
    expect(batches).toHaveLength(2)
    expect(batches[1]?.state).toEqual(second)
    await expect(load(sources, [sound, open])).rejects.toThrow(/5 samples for input state.*, got 2/)
  })

  it('has the size of a fixed batch', async () => {
    const fixed = { ...state, dims: [2, 1, 3] }
    const batches = await load(sources, [{ ...sound, dims: [1, 4] }, fixed], { batchAxes: { state: 1 } })
    expect(batches.map(({ state }) => state?.dims)).toEqual(Array(5).fill([2, 1, 3]))
  })
})

describe('several sources for one input', () => {
  it('follow each other, and a batch has samples of one shape', async () => {
    const open: RunnerInput = { name: 'x', type: 'float32', dims: ['N', 'L'] }
    const sources = [
      array(counting([3, 4]), 'x', 'a.npy'),
      array(counting([2, 4]), 'x', 'b.npy'),
      array(counting([3, 6]), 'x', 'c.npy'),
    ]
    const batches = await load(sources, [open], { batchSize: 4 })
    expect(batches.map(({ x }) => x?.dims)).toEqual([
      [4, 4],
      [1, 4],
      [3, 6],
    ])
    expect(batches[0]?.x?.data).toEqual(Float32Array.of(...Array(12).keys(), 0, 1, 2, 3))
    expect(batches[1]?.x?.data).toEqual(Float32Array.of(4, 5, 6, 7))
    const some = await load(sources, [open], { samples: 6 })
    expect(some.map(({ x }) => x?.dims)).toEqual([
      [5, 4],
      [1, 6],
    ])
    await expect(load(sources, [{ ...open, dims: [2, 'L'] }])).rejects.toThrow(
      "data: expected samples of one shape for the model's fixed batch of 2, got only 1 before those of another",
    )
  })

  it('cut batches where any input changes its shape', async () => {
    const inputs: RunnerInput[] = [
      { name: 'x', type: 'float32', dims: ['N', 'L'] },
      { name: 'y', type: 'float32', dims: ['N', 'M'] },
    ]
    const sources = [
      array(counting([4, 2]), 'x'),
      array(counting([1, 3]), 'y', 'y1.npy'),
      array(counting([3, 5]), 'y', 'y2.npy'),
    ]
    const batches = await load(sources, inputs)
    expect(batches.map(({ x, y }) => [x?.dims, y?.dims])).toEqual([
      [
        [1, 2],
        [1, 3],
      ],
      [
        [3, 2],
        [3, 5],
      ],
    ])
  })
})

describe('images of models that leave their size open', () => {
  const png = (name: string, width: number, height: number, channels = 3) => ({
    name,
    bytes: async () =>
      encode({
        ...{ width, height, channels },
        data: Uint8Array.from({ length: width * height * channels }, (_, i) => (i % channels) + 1),
      }),
  })
  const open: RunnerInput = { name: 'x', type: 'uint8', dims: ['N', 3, 'H', 'W'] }
  const folder = (...files: DataSource['files']) => [{ name: 'photos', files }]

  it('have the size that is given', async () => {
    const photos = folder(png('a.png', 40, 30), png('b.png', 9, 9))
    const [batch] = await load(photos, [open], { imageSize: { width: 8, height: 6 } })
    expect(batch?.x?.dims).toEqual([2, 3, 6, 8])
    const last: RunnerInput = { ...open, dims: ['N', null, null, 3] }
    const [nhwc] = await load(photos, [last], { imageSize: { width: 8, height: 6 } })
    expect(nhwc?.x?.dims).toEqual([2, 6, 8, 3])
    expect(nhwc?.x?.data.subarray(0, 6)).toEqual(Uint8Array.of(1, 2, 3, 1, 2, 3))
    const fixed: RunnerInput = { ...open, dims: ['N', 3, 10, 'W'] }
    await expect(load(photos, [fixed], { imageSize: { width: 8, height: 6 } })).rejects.toThrow(
      'photos: expected images of height 10, as input x has it, got 6',
    )
  })

  it('have their own sizes in multiples of 32, in batches of one size, in their order', async () => {
    const photos = folder(
      png('a.png', 70, 33),
      png('b.png', 64, 40),
      png('c.png', 20, 100),
      png('d.png', 66, 33),
    )
    const batches = await load(photos, [open], { imageSize: 'own' })
    expect(batches.map(({ x }) => x?.dims)).toEqual([
      [2, 3, 32, 64],
      [1, 3, 96, 32],
      [1, 3, 32, 64],
    ])
  })

  it('leave out what cannot be read, by its position in the folder', async () => {
    const broken = { name: 'b.png', bytes: async () => new Uint8Array(9) }
    const photos = folder(png('a.png', 32, 32), broken, png('c.png', 64, 32))
    const set = await loadFeeds(photos, [open], { imageSize: 'own' })
    expect([set.samples, set.available, set.skipped]).toEqual([2, 2, [1]])
    expect(set.notes.map(({ text }) => text)).toEqual([
      '1 of 3 images cannot be read and is left out: b.png: expected a JPEG or PNG image, got another kind of file',
    ])
    await expect(load(folder(broken), [open], { imageSize: 'own' })).rejects.toThrow(
      /b\.png: expected a JPEG/,
    )
  })

  it('keep alpha where the network has a channel for it', async () => {
    const alpha: RunnerInput = { ...open, dims: ['N', 2, 2, 4] }
    const photos = folder(png('a.png', 2, 2, 4), png('b.png', 2, 2, 3), png('c.png', 2, 2, 2))
    const [batch] = await load(photos, [alpha])
    const pixel = (image: number) => Array.from(batch!.x!.data.subarray(16 * image, 16 * image + 4), Number)
    expect([0, 1, 2].map(pixel)).toEqual([
      [1, 2, 3, 4],
      [1, 2, 3, 255],
      [1, 1, 1, 2],
    ])
  })
})

describe('float16 inputs', () => {
  it('take floats and scaled bytes', async () => {
    const half: RunnerInput = { name: 'x', type: 'float16', dims: ['N', 2] }
    const [floats] = await load([array({ ...counting([1, 2]), data: Float32Array.of(1, -0.5) }, 'x')], [half])
    expect(floats?.x).toEqual({ type: 'float16', dims: [1, 2], data: Uint16Array.of(0x3c00, 0xb800) })
    const bytes: Tensor = { type: 'uint8', dims: [1, 2], data: Uint8Array.of(255, 0) }
    const [scaled] = await load([array(bytes, 'x')], [half], { scale: 255 })
    expect(scaled?.x?.data).toEqual(Uint16Array.of(0x3c00, 0))
    await expect(
      load([array({ ...counting([1, 2]), data: Float32Array.of(1e6, 0) }, 'x')], [half]),
    ).rejects.toThrow('x.npy: expected values that fit float16, from −65504 to 65504, got 1000000 (float32)')
  })
})
