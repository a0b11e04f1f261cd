/** Batches in the order of time: step t of all sequences that have one, whatever the size of batches. */
import { encode } from 'fast-png'
import { describe, expect, it } from 'vitest'
import { labelsOfFeeds } from '#src/data/classes.js'
import { type DataSource, type FeedOptions, type FeedSet, loadFeeds } from '#src/data/feeds.js'
import { formatNpy } from '#src/data/npy.js'
import type { Feeds, RunnerInput } from '#src/tensor/tensor.js'
import { wavOf } from './sound.js'

const x: RunnerInput = { name: 'x', type: 'float32', dims: ['N', 2] }
const state: RunnerInput = { name: 'state', type: 'float32', dims: [2, 'N', 3] }
const inputs = [x, state]

/** A file whose samples of two values hold 10 · file + step. */
const array = (file: number, steps: number, input = 'x'): DataSource => ({
  ...{ name: `${file}.npy`, input },
  files: [
    {
      name: `${file}.npy`,
      bytes: async () =>
        formatNpy({
          type: 'float32',
          dims: [steps, 2],
          data: Float32Array.from({ length: 2 * steps }, (_, i) => 10 * file + Math.floor(i / 2)),
        }),
    },
  ],
})

async function load(
  sources: readonly DataSource[],
  own: readonly RunnerInput[] = inputs,
  options: FeedOptions = {},
): Promise<{ set: FeedSet; batches: Feeds[] }> {
  const set = await loadFeeds(sources, own, { states: ['state'], ...options })
  const batches: Feeds[] = []
  for await (const batch of set) batches.push(batch)
  return { set, batches }
}

/** The first value of each sample. */
const stepsIn = (batches: readonly Feeds[]): number[][] =>
  batches.map(({ x }) => {
    const [samples = 0] = x?.dims ?? []
    const each = (x?.data.length ?? 0) / samples
    return Array.from({ length: samples }, (_, i) => Number(x?.data[i * each]))
  })

const three = [array(1, 3), array(2, 1), array(3, 4)]

describe('files as sequences', () => {
  it('are side by side in batches, which say which sequence a sample is of', async () => {
    const { set, batches } = await load(three)
    expect(stepsIn(batches)).toEqual([[10, 20, 30], [11, 31], [12, 32], [33]])
    expect(set.steps).toEqual({
      sequences: [[0, 1, 2], [0, 2], [0, 2], [2]],
      axes: { state: 1 },
      order: [0, 3, 4, 1, 5, 2, 6, 7],
    })
    expect(set.samples).toBe(8)
    expect(batches.map(({ state }) => state?.dims)).toEqual([3, 2, 2, 1].map((n) => [2, n, 3]))
    expect(batches.every(({ state }) => state?.data.every((value) => value === 0))).toBe(true)
  })

  it('have the same order in batches of any size', async () => {
    const whole = await load(three)
    const { set, batches } = await load(three, inputs, { batchSize: 2 })
    expect(stepsIn(batches)).toEqual([[10, 20], [30], [11, 31], [12, 32], [33]])
    expect(set.steps?.sequences).toEqual([[0, 1], [2], [0, 2], [0, 2], [2]])
    expect(set.steps?.order).toEqual(whole.set.steps?.order)
  })

  it('are the first samples in the order of the files, where some are wanted', async () => {
    const { set, batches } = await load(three, inputs, { samples: 5 })
    expect(stepsIn(batches)).toEqual([[10, 20, 30], [11], [12]])
    expect(set).toMatchObject({ samples: 5, available: 8 })
  })

  it('begin with the state that is given', async () => {
    const { batches } = await load(three, inputs, { constants: { state: 0.5 } })
    expect(batches[0]?.state?.data.every((value) => value === 0.5)).toBe(true)
  })

  it('of other shapes are in other batches', async () => {
    const open: RunnerInput = { ...x, dims: ['N', 'L'] }
    const wide: DataSource = {
      ...{ name: 'wide.npy', input: 'x' },
      files: [
        {
          name: 'wide.npy',
          bytes: async () =>
            formatNpy({ type: 'float32', dims: [2, 3], data: Float32Array.of(40, 40, 40, 41, 41, 41) }),
        },
      ],
    }
    const { batches } = await load([array(1, 2), wide, array(3, 1)], [open, state])
    expect(stepsIn(batches)).toEqual([[10], [40], [30], [11], [41]])
  })

  it('must be those of all inputs', async () => {
    const y: RunnerInput = { ...x, name: 'y' }
    const both = [x, y, state]
    const { batches } = await load([array(1, 2), array(2, 1), array(5, 2, 'y'), array(6, 1, 'y')], both)
    expect(batches.map(({ y }) => Array.from(y!.data, Number))).toEqual([
      [50, 50, 60, 60],
      [51, 51],
    ])
    await expect(load([array(1, 2), array(2, 1), array(5, 1, 'y'), array(6, 2, 'y')], both)).rejects.toThrow(
      'data: expected sequences of 2, 1 steps for input y, as for input x, got 1, 2',
    )
  })

  it('have labels in the order of the batches', async () => {
    const labels = { type: 'int32', dims: [8], data: Int32Array.of(10, 11, 12, 20, 30, 31, 32, 33) } as const
    const { set, batches } = await load(three)
    expect(Array.from(labelsOfFeeds(labels, set, 'labels').data, Number)).toEqual(stepsIn(batches).flat())
    const some = await load(three, inputs, { samples: 5 })
    expect(Array.from(labelsOfFeeds(labels, some.set, 'labels').data, Number)).toEqual([10, 20, 30, 11, 12])
  })

  it('are only there where an input is a state', async () => {
    const set = await loadFeeds(three, inputs, { constants: { state: 'zeros' } })
    expect(set.steps).toBeNull()
  })
})

describe('other sources', () => {
  it('of sound have a sequence for each file', async () => {
    const sounds = [7, 3, 2].map((length, i) => ({
      name: `${i}.wav`,
      bytes: async () =>
        wavOf(
          Array.from({ length }, (_, at) => (10 * i + at) / 64),
          { bits: 32, tag: 3 },
        ),
    }))
    const { set, batches } = await load([{ name: 'sounds', input: 'x', files: sounds }])
    const values = stepsIn(batches).map((steps) => steps.map((value) => 64 * value))
    expect(values).toEqual([[0, 10, 20], [2], [4]])
    expect(set.steps?.sequences).toEqual([[0, 1, 2], [0], [0]])
  })

  it('of images have one for each folder', async () => {
    const image = (folder: string | undefined, value: number) => ({
      ...{ name: `${folder}/${value}.png`, folder },
      bytes: async () => encode({ width: 1, height: 1, channels: 1, data: Uint8Array.of(value) }),
    })
    const files = [image('a', 1), image('a', 2), image('a', 3), image('b', 4), image('b', 5)]
    const frame: RunnerInput = { name: 'x', type: 'float32', dims: ['N', 1, 1, 1] }
    const { batches } = await load([{ name: 'films', input: 'x', files }], [frame, state])
    expect(stepsIn(batches)).toEqual([[1, 4], [2, 5], [3]])
    const damaged = { ...image('a', 0), bytes: async () => new Uint8Array(9) }
    await expect(
      load([{ name: 'films', input: 'x', files: [damaged, ...files] }], [frame, state]),
    ).rejects.toThrow(/0\.png/)
  })
})

describe('the axis of a state', () => {
  const axisOf = async (dims: RunnerInput['dims'], first: RunnerInput = x, options: FeedOptions = {}) => {
    const own: RunnerInput = { ...state, dims }
    const { set, batches } = await load(three, [first, own], options)
    return [set.steps?.axes.state, batches[0]?.state?.dims]
  }
  const unnamed: RunnerInput = { ...x, dims: [null, 2] }

  it('is the one of the batch by its name, or the first that is open, or what is said', async () => {
    expect(await axisOf(['layers', 'N', 3])).toEqual([1, [1, 3, 3]])
    expect(await axisOf([2, null, 3], unnamed)).toEqual([1, [2, 3, 3]])
    expect(await axisOf([null, null, 3], unnamed)).toEqual([0, [3, 1, 3]])
    expect(await axisOf([null, null, 3], unnamed, { batchAxes: { state: 1 } })).toEqual([1, [1, 3, 3]])
    expect(await axisOf(null)).toEqual([0, []])
  })

  it('is none where the model fixes the shape: batches are then of one sample', async () => {
    expect(await axisOf([2, 1, 3], { ...x, dims: [1, 2] })).toEqual([1, [2, 1, 3]])
    const { set, batches } = await load(three, [x, { ...state, dims: [2, 3] }])
    expect(stepsIn(batches)).toEqual([[10], [20], [30], [11], [31], [12], [32], [33]])
    expect(set.steps?.axes).toEqual({})
    expect(batches[0]?.state?.dims).toEqual([2, 3])
  })

  it('is refused where it does not fit the fixed batch', async () => {
    await expect(
      load(three, [
        { ...x, dims: [4, 2] },
        { ...state, dims: [2, 3, 5] },
      ]),
    ).rejects.toThrow(
      "input state: expected a state of 4 samples, as the model's batches have, got shape (2, 3, 5)",
    )
  })
})

describe('a fixed batch of several samples', () => {
  const fixed = [
    { ...x, dims: [2, 2] },
    { ...state, dims: [4, 2, 3] },
  ]

  it('has so many sequences side by side, as long as the shortest of them', async () => {
    const { set, batches } = await load(
      [array(1, 3), array(2, 2), array(3, 1), array(4, 2), array(5, 9)],
      fixed,
    )
    expect(stepsIn(batches)).toEqual([
      [10, 20],
      [30, 40],
      [11, 21],
    ])
    expect(set.samples).toBe(6)
    expect(set.notes.map(({ text }) => text)).toEqual([
      'the model takes batches of 2, so 2 sequences run together, as long as the shortest of them: 11 of 17 samples are left out',
    ])
  })

  it('needs so many sequences', async () => {
    await expect(load([array(1, 3)], fixed)).rejects.toThrow(
      "data: expected at least 2 sequences for the model's fixed batch, got 1",
    )
  })
})

describe('states that also have samples', () => {
  it('are refused by their names', async () => {
    await expect(load([...three, array(4, 8, 'state')])).rejects.toThrow(
      '4.npy: expected no samples of input state, which takes its values from the step before, got some; leave them out',
    )
    await expect(load(three, inputs, { states: ['h'] })).rejects.toThrow(
      'states: expected names of model inputs (x, state), got "h"',
    )
    await expect(load(three, inputs, { states: ['x', 'state'] })).rejects.toThrow(/no samples of input x/)
  })
})

describe('pieces of sound that overlap', () => {
  const sound = (length: number): DataSource => ({
    ...{ name: 'sounds', input: 'x' },
    files: [
      {
        name: 'a.wav',
        bytes: async () =>
          wavOf(
            Array.from({ length }, (_, at) => at / 64),
            { bits: 32, tag: 3 },
          ),
      },
    ],
  })
  const four: RunnerInput = { ...x, dims: ['N', 4] }
  const pieces = async (length: number, options: FeedOptions, input = four): Promise<number[][]> => {
    const found: number[][] = []
    for await (const { x } of await loadFeeds([sound(length)], [input], options))
      for (let at = 0; at < x!.data.length; at += 4)
        found.push(Array.from(x!.data.subarray(at, at + 4), Number).map((value) => 64 * value))
    return found
  }

  it('begin so many samples after each other, and end with the file', async () => {
    const overlapping = [
      [0, 1, 2, 3],
      [3, 4, 5, 6],
      [6, 7, 8, 9],
    ]
    expect(await pieces(10, { soundStep: 3 })).toEqual(overlapping)
    expect(await pieces(12, { soundStep: 3 })).toEqual(overlapping)
    expect(await pieces(10, { soundStep: 6 })).toEqual([
      [0, 1, 2, 3],
      [6, 7, 8, 9],
    ])
    expect(await pieces(10, { soundStep: 3, samples: 2 })).toEqual(overlapping.slice(0, 2))
    expect(await pieces(10, {})).toEqual([
      [0, 1, 2, 3],
      [4, 5, 6, 7],
    ])
  })

  it('need a length', async () => {
    const open: RunnerInput = { ...x, dims: ['N', 'L'] }
    expect(await pieces(10, { soundStep: 3, soundLength: 4 }, open)).toHaveLength(3)
    await expect(pieces(10, { soundStep: 3 }, open)).rejects.toThrow(
      'sounds: expected the length of a piece of input x together with a step, got none; give it with soundLength',
    )
    await expect(pieces(10, { soundStep: 0 })).rejects.toThrow('soundStep: expected an integer of at least 1')
  })
})
