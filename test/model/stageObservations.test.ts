/** Observations of a stage as a value: bytes there and back, merged in any grouping, and nothing else taken for them. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { OutputErrors } from '#src/calibration/outputErrors.js'
import { GpfqError } from '#src/errors.js'
import { packContainer } from '#src/methods/container.js'
import { type ObservationShape, Observations, sumLayout } from '#src/methods/observations.js'
import { mergeStages, type StageObservations, stageBytes, stageFrom } from '#src/model/stageObservations.js'
import { reals } from '../random.js'

const CONVOLUTION = {
  kernel: [3, 2],
  dilations: [1, 1],
  size: [5, 4],
  pads: [1, 0],
  out: [5, 3],
} as const

/** Shapes of sums: dense or of a convolution by correlations, equal streams or not, with means or without. */
const shapes: fc.Arbitrary<ObservationShape> = fc.record({
  kind: fc.constant('gram' as const),
  inputs: fc.constantFrom(6, 12, 24),
  groups: fc.integer({ min: 1, max: 3 }),
  streamsEqual: fc.boolean(),
  wholeG: fc.boolean(),
  means: fc.boolean(),
  weighted: fc.boolean(),
  segmentRows: fc.integer({ min: 1, max: 20 }),
  convolution: fc.constantFrom(null, CONVOLUTION),
})

/** Observations of some whole segments: of the first samples one sum, of later ones a sum each. */
function observed(shape: ObservationShape, segments: number, first: boolean, seed: number): Observations {
  const { length, means } = sumLayout(shape)
  const sums = Array.from({ length: first ? Math.min(1, segments) : segments }, (_, i) => ({
    values: reals(length, seed + i),
    means: Float64Array.from(reals(means, seed + 50 + i), (value) => value / 3),
  }))
  return new Observations(shape, segments * shape.segmentRows, first, true, sums)
}

const anyDouble = fc.oneof(fc.double(), fc.constantFrom(0, -0, Number.POSITIVE_INFINITY, Number.NaN, 5e-324))

const errors = fc
  .dictionary(
    fc.string({ minLength: 1, maxLength: 8 }),
    fc.dictionary(fc.nat({ max: 40 }).map(String), fc.tuple(anyDouble, anyDouble), { maxKeys: 5 }),
    { maxKeys: 3 },
  )
  .map((found) => {
    const tensors = Object.entries(found).map(([tensor, segments]) => {
      const own = Object.entries(segments).map(
        ([segment, [signal2, error2]]) => [Number(segment), { signal2, error2 }] as const,
      )
      return [tensor, new Map(own)] as const
    })
    return new OutputErrors(new Map(tensors))
  })

const ranges = fc
  .uniqueArray(
    fc.tuple(
      fc.string({ unit: 'grapheme' }),
      fc.record({
        low: fc.float({ max: 0, noNaN: true }),
        high: fc.float({ min: 0, noNaN: true }),
        counts: fc
          .uniqueArray(fc.tuple(fc.nat({ max: 65535 }), fc.integer({ min: 1, max: 2 ** 40 })), {
            maxLength: 5,
            selector: ([bin]) => bin,
          })
          .map((counts) => new Map(counts)),
      }),
    ),
    { maxLength: 3, selector: ([name]) => name },
  )
  .map((all) => new Map(all))

const stages: fc.Arbitrary<StageObservations> = fc
  .tuple(
    fc.uniqueArray(fc.tuple(fc.string({ unit: 'grapheme' }), shapes, fc.nat({ max: 3 })), {
      maxLength: 3,
      selector: ([name]) => name,
    }),
    fc.boolean(),
    errors,
    errors,
    ranges,
    fc.nat({ max: 1000 }),
  )
  .map(([captures, first, found, judged, counted, seed]) => ({
    captures: new Map(
      captures.map(([name, shape, segments], i) => [name, observed(shape, segments, first, seed + 100 * i)]),
    ),
    ranges: counted,
    errors: found,
    heldOutErrors: judged,
  }))

/** What reading bytes gives: the error of a refusal. */
function refused(bytes: Uint8Array): unknown {
  try {
    stageFrom(bytes, 'part 2')
  } catch (error) {
    return error
  }
  return 'no error'
}

const expectRefused = (bytes: Uint8Array): void => {
  const error = refused(bytes)
  expect(error).toBeInstanceOf(GpfqError)
  expect(error).toMatchObject({ code: 'INVALID_DATA', message: expect.stringMatching(/^part 2/) })
}

describe('as bytes', () => {
  it('come back as they were, every number and name', () => {
    fc.assert(
      fc.property(stages, (stage) => {
        expect(stageFrom(stageBytes(stage))).toEqual(stage)
      }),
      { seed: 91 },
    )
  })

  it('come back from any place in a larger buffer', () => {
    fc.assert(
      fc.property(stages, fc.nat({ max: 70 }), (stage, offset) => {
        const bytes = stageBytes(stage)
        const buffer = new Uint8Array(offset + bytes.length + 5).fill(255)
        buffer.set(bytes, offset)
        expect(stageFrom(buffer.subarray(offset, offset + bytes.length))).toEqual(stage)
      }),
      { seed: 92, numRuns: 30 },
    )
  })

  it('are the same for equal observations', () => {
    fc.assert(
      fc.property(stages, (stage) => {
        const bytes = stageBytes(stage)
        expect(Buffer.compare(stageBytes(stageFrom(bytes)), bytes)).toBe(0)
      }),
      { seed: 93, numRuns: 30 },
    )
  })
})

describe('bytes that are not observations of a stage', () => {
  it('are refused: truncated anywhere, or longer', () => {
    fc.assert(
      fc.property(stages, fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (stage, share) => {
        const bytes = stageBytes(stage)
        expectRefused(bytes.subarray(0, Math.floor(share * bytes.length)))
        const longer = new Uint8Array(bytes.length + 64)
        longer.set(bytes)
        expectRefused(longer)
      }),
      { seed: 94 },
    )
  })

  it('are refused: any bit flipped that says anything', () => {
    fc.assert(
      fc.property(stages, fc.nat(), fc.nat({ max: 7 }), (stage, place, bit) => {
        const bytes = stageBytes(stage)
        const at = place % bytes.length
        // The prefix is padded with zeros, which say nothing.
        fc.pre(at < 20 || at >= 64)
        bytes[at]! ^= 1 << bit
        expectRefused(bytes)
      }),
      { seed: 95, numRuns: 300 },
    )
  })

  it('are refused: any other bytes', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), expectRefused), { seed: 96 })
    expectRefused(observed({ ...SHAPE, means: true }, 1, true, 1).bytes)
  })

  it.each<[string, object]>([
    ['without captures', { errors: [] }],
    ['captures that are no list', { captures: { a: 1 }, errors: [] }],
    ['a capture without a name', { captures: [[1, 2]], errors: [] }],
    ['a length that is no number', { captures: [['a', '64']], errors: [] }],
    ['a length beyond the bytes', { captures: [['a', 2 ** 40]], errors: [] }],
    ['a negative length', { captures: [['a', -64]], errors: [] }],
    ['without errors', { captures: [] }],
    ['segments that are no list', { captures: [], errors: [['y', 3]] }],
    ['a segment that is no number', { captures: [], errors: [['y', ['0']]] }],
    ['a segment that is no whole number', { captures: [], errors: [['y', [0.5]]] }],
    ['more segments than sums', { captures: [], errors: [['y', [0, 1, 2]]] }],
  ])('are refused though the checksum fits: names with %s', (_, names) => {
    const kind = { letters: 'STAG', version: 1, name: 'observations of a stage' }
    const text = new TextEncoder().encode(JSON.stringify(names))
    expectRefused(packContainer(kind, [text.length], [text]))
  })

  it('of another version are named with both', () => {
    const bytes = packContainer({ letters: 'STAG', version: 7, name: '' }, [], [])
    expect(refused(bytes)).toMatchObject({
      ...{ code: 'INVALID_DATA', place: 'part 2' },
      expected: 'observations of a stage of version 3',
      got: 'version 7',
    })
  })
})

const SHAPE: ObservationShape = {
  ...{ kind: 'gram', inputs: 6, groups: 1, streamsEqual: false, wholeG: true, means: false },
  ...{ segmentRows: 4, weighted: false, convolution: null },
}

describe('merging', () => {
  const part = (segments: number, first: boolean, seed: number): StageObservations => ({
    captures: new Map([['a', observed(SHAPE, segments, first, seed)]]),
    ranges: new Map([['t', { low: -seed, high: seed / 3, counts: new Map([[seed, 1 + seed]]) }]]),
    errors: new OutputErrors(new Map([['y', new Map([[seed, { signal2: seed / 3, error2: seed / 7 }]])]])),
    heldOutErrors: new OutputErrors(new Map([['y', new Map([[0, { signal2: seed, error2: seed / 9 }]])]])),
  })

  it('is associative to the last bit', () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 3 }), { minLength: 3, maxLength: 6 }), fc.nat(), (counts, at) => {
        const parts = counts.map((segments, i) => part(segments, i === 0, i + 1))
        const cut = 1 + (at % (parts.length - 1))
        const [left, right] = [parts.slice(0, cut).reduce(mergeStages), parts.slice(cut).reduce(mergeStages)]
        const merged = mergeStages(left, right)
        const inOrder = parts.reduce(mergeStages)
        expect(merged.errors).toEqual(inOrder.errors)
        expect(merged.ranges).toEqual(inOrder.ranges)
        const [a, c] = [merged, inOrder].map(({ captures }) => captures.get('a')!)
        expect([a!.rows, a!.exact, a!.total()]).toEqual([c!.rows, true, c!.total()])
      }),
      { seed: 97 },
    )
  })

  it('refuses a part without a capture, and one of another shape', () => {
    const a = part(1, true, 1)
    const without: StageObservations = { ...a, captures: new Map() }
    const message = "observations of layer 'a': expected it in every part, got a part without"
    expect(() => mergeStages(a, without)).toThrow(message)
    expect(() => mergeStages(without, a)).toThrow(message)
    const other = { ...a, captures: new Map([['a', observed({ ...SHAPE, segmentRows: 8 }, 1, false, 1)]]) }
    expect(() => mergeStages(a, other)).toThrow('observations, segmentRows: expected 4 in every part, got 8')
  })
})
