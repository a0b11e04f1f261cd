import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { encode } from 'fast-png'
import { zipSync } from 'fflate'
import { describe, expect, it } from 'vitest'
import { labelsOfFeeds, labelsOfFolders } from '#src/data/classes.js'
import { describeFeedNote } from '#src/data/feedNote.js'
import { type FeedOptions, loadFeeds, loadLabels } from '#src/data/feeds.js'
import { openData } from '#src/data/files.js'
import { formatNpy } from '#src/data/npy.js'
import { formatNpz } from '#src/data/npz.js'
import { HINTS } from '#src/hints.js'
import type { Feeds, RunnerInput, Tensor } from '#src/tensor/tensor.js'

const image: RunnerInput = { name: 'image', type: 'float32', dims: ['N', 1, 2, 3] }
const colour: RunnerInput = { name: 'image', type: 'float32', dims: ['N', 3, 2, 2] }
const tokens: RunnerInput = { name: 'tokens', type: 'int64', dims: ['N', 4] }

const bytes = (dims: readonly number[]): Tensor => ({
  type: 'uint8',
  dims,
  data: Uint8Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => i),
})

const file = (content: Uint8Array, name = 'data.npy', input?: string) => ({
  name,
  input,
  files: [{ name, bytes: async () => content }],
})

async function all(set: AsyncIterable<Feeds>): Promise<Feeds[]> {
  const batches: Feeds[] = []
  for await (const batch of set) batches.push(batch)
  return batches
}

const load = (tensor: Tensor, input: RunnerInput, options?: FeedOptions) =>
  loadFeeds([file(formatNpy(tensor))], [input], options)

describe('loadFeeds', () => {
  it('cuts batches, the last one shorter, and can be iterated again', async () => {
    const set = await load(bytes([5, 1, 2, 3]), image, { batchSize: 2, scale: 1 })
    expect([set.samples, set.available, set.batchSize]).toEqual([5, 5, 2])
    const first = await all(set)
    expect(first.map(({ image }) => image?.dims)).toEqual([
      [2, 1, 2, 3],
      [2, 1, 2, 3],
      [1, 1, 2, 3],
    ])
    expect(first[2]?.image?.data).toEqual(Float32Array.of(24, 25, 26, 27, 28, 29))
    expect(await all(set)).toEqual(first)
  })

  it('takes at most the first N samples', async () => {
    expect((await load(bytes([5, 1, 2, 3]), image, { samples: 3 })).samples).toBe(3)
    const set = await load(bytes([5, 1, 2, 3]), image, { samples: 9, scale: 255 })
    expect(set.samples).toBe(5)
  })

  it('feeds views of the file where nothing has to be converted', async () => {
    const tensor: Tensor = { type: 'float32', dims: [4, 1, 2, 3], data: new Float32Array(24) }
    const content = formatNpy(tensor)
    const [batch] = await all(await loadFeeds([file(content)], [image], { batchSize: 2 }))
    expect(batch?.image?.data.buffer).toBe(content.buffer)
  })

  it('adds a channel axis of 1 and unflattens', async () => {
    for (const dims of [
      [2, 2, 3],
      [2, 6],
    ])
      expect((await all(await load(bytes(dims), image)))[0]?.image?.dims).toEqual([2, 1, 2, 3])
  })

  it('turns uint16 tokens into int64', async () => {
    const tensor: Tensor = { type: 'uint16', dims: [1, 4], data: Uint16Array.of(1, 2, 3, 511) }
    expect((await all(await load(tensor, tokens)))[0]?.tokens?.data).toEqual(
      BigInt64Array.of(1n, 2n, 3n, 511n),
    )
  })

  it('turns NHWC files for NCHW models, and the other way round', async () => {
    const [batch] = await all(await load(bytes([1, 2, 2, 3]), colour, { layout: 'nhwc' }))
    expect(batch?.image).toEqual({
      type: 'float32',
      dims: [1, 3, 2, 2],
      data: Float32Array.of(0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11),
    })
    const last: RunnerInput = { name: 'image', type: 'float32', dims: ['N', 2, 2, 3] }
    const [back] = await all(await load(bytes([1, 3, 2, 2]), last, { layout: 'nchw', mean: [0, 1, 2] }))
    expect(back?.image?.data).toEqual(Float32Array.of(0, 3, 6, 1, 4, 7, 2, 5, 8, 3, 6, 9))
    const [same] = await all(await load(bytes([1, 2, 2, 3]), last))
    expect(same?.image?.data).toEqual(Float32Array.from({ length: 12 }, (_, i) => i))
  })

  it('names the file and both shapes when they do not fit, with a hint at the layout', async () => {
    await expect(load(bytes([5, 2, 2, 3]), colour)).rejects.toThrow(
      'data.npy: expected shape (N, 3, 2, 2) for input image, got (5, 2, 2, 3); try layout nhwc',
    )
    await expect(load(bytes([5, 7]), tokens)).rejects.toThrow(
      'expected shape (N, 4) for input tokens, got (5, 7)',
    )
    await expect(load(bytes([]), tokens)).rejects.toThrow(/the first axis counts samples/)
  })

  it('keeps to a fixed batch dimension and says what it leaves out', async () => {
    const fixed: RunnerInput = { ...tokens, dims: [2, 4] }
    const set = await load(bytes([5, 4]), fixed, { batchSize: 32 })
    expect([set.samples, set.batchSize]).toEqual([4, 2])
    expect(set.notes).toEqual([
      {
        code: 'SAMPLES_LEFT_OUT',
        place: null,
        text: 'the model takes batches of 2: the last 1 of the samples are left out',
      },
    ])
    await expect(load(bytes([1, 4]), fixed)).rejects.toThrow(/at least 2 samples/)
  })

  it.each([-1, 0])('takes a batch dimension of %i for one of any size', async (dim) => {
    const set = await load(bytes([5, 4]), { ...tokens, dims: [dim, 4] })
    expect((await all(set)).map((batch) => batch.tokens?.dims)).toEqual([[5, 4]])
  })

  it('refuses batches of no samples', async () => {
    await expect(load(bytes([5, 4]), tokens, { batchSize: 0 })).rejects.toThrow(
      'batchSize: expected an integer of at least 1, got 0',
    )
  })

  it('feeds samples as they lie where the model declares no shape, but no images', async () => {
    const any: RunnerInput = { name: 'x', type: 'float32', dims: null }
    const [batch] = await all(await load(bytes([2, 2, 3]), any, { scale: 1 }))
    expect(batch?.x?.dims).toEqual([2, 2, 3])
    const folder = { name: 'photos', files: [{ name: 'a.png', bytes: async () => new Uint8Array() }] }
    await expect(loadFeeds([folder], [any])).rejects.toThrow(
      /1, 3 or 4 channels, height and width for images, got x of shape \(any shape\)/,
    )
  })

  it('matches several inputs by the names of an .npz, or by NAME=', async () => {
    const npz = file(formatNpz({ image: bytes([3, 6]), tokens: bytes([3, 4]), label: bytes([3]) }), 'd.npz')
    const set = await loadFeeds([npz], [image, tokens], { scale: 1 })
    expect(Object.keys((await all(set))[0] ?? {})).toEqual(['image', 'tokens'])
    expect(set.notes).toEqual([
      { code: 'NOT_AN_INPUT', place: 'd.npz', text: 'not an input, not used: label', names: ['label'] },
    ])
    expect(set.notes.map((note) => describeFeedNote(note))).toEqual(['d.npz: not an input, not used: label'])
    const apart = [
      file(formatNpy(bytes([3, 4])), 't.npy', 'tokens'),
      file(formatNpy(bytes([3, 6])), 'i.npy', 'image'),
    ]
    expect((await loadFeeds(apart, [image, tokens])).samples).toBe(3)
  })

  it('says what is missing, unknown or of another count', async () => {
    const a = file(formatNpy(bytes([3, 6])), 'i.npy', 'image')
    const t = file(formatNpy(bytes([2, 4])), 't.npy', 'tokens')
    await expect(loadFeeds([a], [image, tokens])).rejects.toThrow(
      'expected samples for input tokens, got none',
    )
    await expect(loadFeeds([a, t], [image, tokens])).rejects.toThrow(
      't.npy: expected 3 samples for input tokens, as for input image in i.npy, got 2',
    )
    await expect(loadFeeds([file(formatNpy(bytes([3, 6])))], [image, tokens])).rejects.toThrow(
      'data.npy: the model has 2 inputs (image, tokens), and it is not said which one this is for; name the input',
    )
    await expect(loadFeeds([{ ...a, input: 'x' }], [image])).rejects.toThrow(
      /name of a model input \(image\), got "x"/,
    )
    await expect(loadFeeds([{ name: 'empty', files: [] }], [image])).rejects.toThrow(
      /got a folder without any/,
    )
    await expect(load(bytes([1, 4]), tokens, { scale: 2 })).rejects.toThrow(
      /expected a float input .* tokens \(int64\)/,
    )
  })

  it('warns about bytes that go into a float input unscaled', async () => {
    const [note] = (await load(bytes([1, 6]), image)).notes
    if (note === undefined) throw new Error('expected a note')
    expect(note).toMatchObject({ code: 'NOT_SCALED', place: 'data.npy', hint: HINTS['divide-by-255'] })
    expect(describeFeedNote(note)).toMatch(/image as they are; should they be divided by 255\?$/)
    expect(describeFeedNote(note, { [HINTS['divide-by-255']]: 'is it?' })).toMatch(/; is it\?$/)
    expect((await load(bytes([1, 6]), image, { scale: 255 })).notes).toEqual([])
  })

  it('reads a folder of images by name, each of them once', async () => {
    let reads = 0
    const png = (value: number, name: string) => ({
      name,
      bytes: async () => {
        reads++
        return encode({ width: 2, height: 2, channels: 3, data: new Uint8Array(12).fill(value) })
      },
    })
    const folder = { name: 'photos', files: [png(2, 'b.png'), png(1, 'a.png'), png(3, 'c.png')] }
    const set = await loadFeeds([folder], [colour], { batchSize: 2 })
    const values = (await all(set)).flatMap(({ image }) => Array.from(image?.data ?? [], Number))
    expect([values[0], values[12], values[24]]).toEqual([1, 2, 3])
    await all(set)
    expect(reads).toBe(3)
    await expect(loadFeeds([folder], [{ ...colour, dims: ['N', 3, 'H', 'W'] }])).rejects.toThrow(
      /size for images, which the model leaves open, got image of shape \(N, 3, H, W\); give their size/,
    )
  })
})

describe('images that cannot be read', () => {
  const png = (value: number) =>
    encode({ width: 2, height: 2, channels: 3, data: new Uint8Array(12).fill(value) })
  const photos = (...values: (number | Uint8Array)[]) => ({
    name: 'photos',
    files: values.map((value, i) => ({
      name: `${i}.png`,
      folder: i % 2 === 0 ? 'even' : 'odd',
      bytes: async () => (typeof value === 'number' ? png(value) : value),
    })),
  })
  const firsts = async (set: AsyncIterable<Feeds>) =>
    (await all(set)).flatMap(({ image }) =>
      Array.from({ length: image?.dims[0] ?? 0 }, (_, i) => Number(image?.data[12 * i])),
    )

  it('are left out and counted, and other images take their place', async () => {
    const source = photos(new Uint8Array(9), 2, 3, png(4).subarray(0, 50), 5, 6)
    const set = await loadFeeds([source], [colour], { samples: 3, scale: 1 })
    expect([set.samples, set.available, set.skipped]).toEqual([3, 5, [0]])
    expect(await firsts(set)).toEqual([3, 5, 2])
    const whole = await loadFeeds([source], [colour], { scale: 1 })
    expect([whole.samples, whole.available, whole.skipped]).toEqual([4, 4, [0, 4]])
    expect(await firsts(whole)).toEqual([3, 5, 2, 6])
    expect(whole.notes).toEqual([
      {
        code: 'IMAGES_SKIPPED',
        place: 'photos',
        count: 2,
        text: '2 of 6 images cannot be read and are left out: 0.png: expected a JPEG or PNG image, got another kind of file and 1 more',
      },
    ])
  })

  it('take their labels with them, and folders are labels', async () => {
    const source = photos(1, new Uint8Array(9), 3, 4)
    const set = await loadFeeds([source], [colour], { scale: 1 })
    const found = labelsOfFolders(source)
    expect(found?.classes).toEqual(['even', 'odd'])
    expect([...(found?.labels.data ?? [])]).toEqual([0, 0, 1, 1])
    const labels = labelsOfFeeds(
      { type: 'int64', dims: [4], data: BigInt64Array.of(0n, 0n, 7n, 1n) },
      set,
      'l',
    )
    expect(labels).toEqual({ type: 'int64', dims: [3], data: BigInt64Array.of(0n, 0n, 1n) })
    expect(() => labelsOfFeeds(bytes([3]), set, 'l.npy')).toThrow(
      'l.npy: expected labels for the 4 samples of the data, got shape (3)',
    )
    expect(
      labelsOfFolders({ ...source, files: source.files.map((file) => ({ ...file, folder: undefined })) }),
    ).toBeNull()
    expect(() =>
      labelsOfFolders({ name: 'p', files: [...source.files, { name: 'x.png', bytes: async () => png(0) }] }),
    ).toThrow(/^p: expected every image in the folder of a class, got x\.png outside/)
  })

  it('are errors where strict, where no image is left, and where they have other inputs beside them', async () => {
    const source = photos(1, new Uint8Array(9))
    const strict = await loadFeeds([source], [colour], { scale: 1, strict: true })
    await expect(all(strict)).rejects.toThrow(/^1\.png: expected a JPEG or PNG image/)
    await expect(loadFeeds([photos(new Uint8Array(1))], [colour])).rejects.toThrow(/^0\.png: expected/)
    const both = [{ ...source, input: 'image' }, file(formatNpy(bytes([2, 4])), 't.npy', 'tokens')]
    await expect(all(await loadFeeds(both, [colour, tokens], { scale: 1 }))).rejects.toThrow(/^1\.png/)
  })

  it('end the reading where the signal aborts', async () => {
    const controller = new AbortController()
    controller.abort(new Error('enough'))
    await expect(loadFeeds([photos(1)], [colour], { signal: controller.signal })).rejects.toThrow('enough')
  })
})

describe('names', () => {
  it('can be those that objects have', async () => {
    const names = ['__proto__', 'constructor', 'toString', 'hasOwnProperty']
    const inputs: RunnerInput[] = names.map((name) => ({ ...tokens, name }))
    const members = Object.fromEntries(names.map((name) => [`${name}.npy`, formatNpy(bytes([2, 4]))]))
    const npz = file(zipSync(members), 'd.npz')
    const [batch] = await all(await loadFeeds([npz], inputs))
    expect(Object.keys(batch ?? {})).toEqual(names)
    for (const name of names) expect(Object.getOwnPropertyDescriptor(batch, name)?.value.dims).toEqual([2, 4])
    await expect(
      loadFeeds([file(formatNpz({ a: bytes([2]), b: bytes([2]) }))], [inputs[1]!]),
    ).rejects.toThrow('expected an array named "constructor", got a, b')
  })

  it('of arrays can be given for an input of another name', async () => {
    const npz = formatNpz({ images: bytes([3, 4]), labels: bytes([3]) })
    await expect(loadFeeds([file(npz)], [tokens])).rejects.toMatchObject({ hint: HINTS['choose-array'] })
    const [batch] = await all(await loadFeeds([{ ...file(npz), array: 'images' }], [tokens]))
    expect(batch?.tokens?.dims).toEqual([3, 4])
    expect((await loadLabels({ ...file(npz), array: 'labels' })).dims).toEqual([3])
  })
})

it('loadFeeds notes values that stand for minus infinity', async () => {
  const mask: RunnerInput = { name: 'mask', type: 'float32', dims: ['N', 2] }
  const load = (...values: number[]) =>
    loadFeeds(
      [file(formatNpy({ type: 'float32', dims: [1, 2], data: Float32Array.from(values) }), 'm.npy')],
      [mask],
    )
  for (const value of [-1e9, Number.NEGATIVE_INFINITY])
    expect((await load(0, value)).notes).toMatchObject([{ code: 'SENTINELS', place: 'm.npy' }])
  expect((await load(0, -1e9)).notes[0]?.text).toMatch(
    /^values down to -1\.0e\+9, as masks have them, go into input mask/,
  )
  expect((await load(-5000, 1e12)).notes).toEqual([])
})

it.each([
  [{ samples: 0 }, /^samples: expected an integer of at least 1, got 0/],
  [{ maxBytes: 0.5 }, /^maxBytes: expected an integer/],
  [{ layout: 'chwn' }, /^layout: expected one of nchw, nhwc, got chwn/],
  [{ signal: {} }, /^signal: expected an AbortSignal, got an object/],
])('loadFeeds refuses %j by the name of the option', async (options, message) => {
  // As from JavaScript, whose compiler checks nothing.
  const untyped: FeedOptions = JSON.parse(JSON.stringify(options))
  const refused = load(bytes([2, 4]), tokens, untyped)
  await expect(refused).rejects.toThrow(message)
  await expect(refused).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
})

describe('loadLabels', () => {
  it('takes integers only', async () => {
    expect((await loadLabels(file(formatNpy(bytes([3]))))).dims).toEqual([3])
    const floats: Tensor = { type: 'float32', dims: [1], data: Float32Array.of(1) }
    await expect(loadLabels(file(formatNpy(floats)))).rejects.toThrow(
      'data.npy: expected integer labels, got float32',
    )
  })
})

const assets = fileURLToPath(new URL('../../../shared/assets/', import.meta.url))

describe.skipIf(!existsSync(assets))('on ../shared/assets', () => {
  it.each([
    ['cifar10/test-images.npy.gz', { name: 'x', type: 'float32', dims: ['N', 3, 32, 32] }, 10000],
    ['mnist/mnist-t10k-images-idx3-ubyte.gz', { name: 'x', type: 'float32', dims: ['N', 1, 28, 28] }, 10000],
    ['imagenet/calib', { name: 'x', type: 'float32', dims: ['N', 3, 224, 224] }, 300],
    ['text/tinystories-calib-tokens.npy.gz', { name: 'x', type: 'int64', dims: ['N', 256] }, 320],
  ] as const)('reads %s', async (path, input, count) => {
    const set = await loadFeeds([await openData(assets + path)], [input], { batchSize: 4, samples: 8 })
    expect([set.available, set.samples]).toEqual([count, 8])
    const batches = await all(set)
    expect(batches.map(({ x }) => x?.dims)).toEqual([
      [4, ...input.dims.slice(1)],
      [4, ...input.dims.slice(1)],
    ])
  })

  it.each([
    'cifar10/test-labels.npy.gz',
    'mnist/mnist-t10k-labels-idx1-ubyte.gz',
    'imagenet/eval-labels.npy',
  ])('reads %s', async (path) => {
    const labels = await loadLabels(await openData(assets + path))
    expect(labels.dims).toHaveLength(1)
  })
})
