/**
 * Hostile files for all readers of data: right ones with bytes, lengths and numbers changed, cut and joined, and some made
 * of nothing. Each either reads or is refused with a typed error, in short words, and allocates no more than its bound.
 */
import { gzipSync } from 'node:zlib'
import { zipSync, zlibSync } from 'fflate'
import { loadFeeds } from '#src/data/feeds.js'
import { decodeImage } from '#src/data/images.js'
import { readJpegHeader } from '#src/data/jpeg.js'
import { formatNpy } from '#src/data/npy.js'
import { formatNpz } from '#src/data/npz.js'
import { readArrays } from '#src/data/source.js'
import { isDescribed } from '#src/errors.js'
import { Observations } from '#src/methods/observations.js'
import { solutionBytes, solutionFrom } from '#src/methods/solutionBytes.js'
import { layerBytes, layerFrom } from '#src/model/checkpoint/layerFile.js'
import { surveyBytes, surveyFrom } from '#src/model/checkpoint/surveyFile.js'
import { planModel } from '#src/model/plan.js'
import { joinPlan, type PlannedLayer } from '#src/model/preparedModel.js'
import { encodeModel } from '#src/onnx/model.js'
import { openModel } from '#src/onnx/openModel.js'
import type { RunnerInput } from '#src/tensor/tensor.js'
import { allocated } from '../data/allocated.js'
import { concat } from '../data/arrays.js'
import { npyHeader, pngOf } from '../data/hostile.js'
import { wavOf } from '../data/sound.js'
import * as b from '../onnx/build.js'
import { randomFrom } from '../random.js'

/** Most bytes that an array may take here, and that any one buffer has: the bound, or the file and some more. */
const BOUND = 2 ** 20

const INPUT: RunnerInput = { name: 'x', type: 'float32', dims: ['N', 'M'] }

/** What a reader does with bytes. */
type Read = (bytes: Uint8Array) => Promise<unknown>

interface Kind {
  readonly read: Read
  readonly seeds: readonly Uint8Array[]
}

const source = (bytes: Uint8Array) => ({ name: 'a', bytes: async () => bytes })

const readArray: Read = async (bytes) => {
  const arrays = await readArrays(source(bytes), { maxBytes: BOUND })
  if (arrays.kind === 'named') for (const name of arrays.archive.names) arrays.archive.get(name)
  for await (const _ of await loadFeeds([{ name: 'a', files: [source(bytes)] }], [INPUT], {
    maxBytes: BOUND,
  }));
}

/** At a rate of its own, so that lengths in the header are multiplied. */
const readSound: Read = async (bytes) => {
  const files = [{ name: 'a.wav', bytes: async () => bytes }]
  const options = { maxBytes: BOUND, sampleRate: 44100 }
  for await (const _ of await loadFeeds([{ name: 'a', files }], [INPUT], options));
}

const matrix = { type: 'float32', dims: [3, 2], data: Float32Array.of(1, 2, 3, 4, 5, 6) } as const
const npy = formatNpy(matrix)
const npz = formatNpz({ x: matrix, constructor: matrix })
const idx = concat(Uint8Array.of(0, 0, 0x0d, 2, 0, 0, 0, 2, 0, 0, 0, 1), new Uint8Array(8))
const jpeg = Uint8Array.of(
  0xff,
  0xd8,
  0xff,
  0xe0,
  0,
  4,
  1,
  2,
  0xff,
  0xc0,
  0,
  11,
  8,
  0,
  4,
  0,
  4,
  1,
  1,
  0x11,
  0,
  0xff,
  0xd9,
)

const planned = layerOfPlan()

const KINDS: readonly Kind[] = [
  {
    read: readArray,
    seeds: [npy, npyHeader('(2, 3)', { fortran: true }), idx, gzipSync(npy), gzipSync(idx)],
  },
  { read: readArray, seeds: [npz, zipSync({ 'x.npy': npy }, { level: 0 }), gzipSync(npz)] },
  {
    read: (bytes) => decodeImage(source(bytes), BOUND),
    seeds: [
      pngOf(3, 2, zlibSync(new Uint8Array(8))),
      pngOf(3, 1, zlibSync(new Uint8Array(2)), [['PLTE', new Uint8Array(6)]], { depth: 1, colour: 3 }),
      pngOf(4, 4, zlibSync(new Uint8Array(40)), [['tRNS', new Uint8Array(2)]], { interlace: 1 }),
    ],
  },
  { read: async (bytes) => readHeader(bytes), seeds: [jpeg] },
  {
    read: readSound,
    seeds: [
      wavOf([0.5, -0.5, 0.25]),
      wavOf([0.5, 1], { tag: 3, bits: 32, channels: 2, extensible: true }),
      wavOf([0.5, 1, 0], { bits: 24, extra: 3 }),
    ],
  },
  { read: async (bytes) => Observations.from(stamped(bytes), 'a'), seeds: [observations()] },
  { read: async (bytes) => solutionFrom(stamped(bytes), 'a'), seeds: [solution()] },
  { read: async (bytes) => layerFrom('a', stamped(bytes), 'r', await planned), seeds: [await layer()] },
  {
    read: async (bytes) => surveyFrom('a', stamped(bytes), 'r'),
    seeds: [surveyBytes('r', new Map([['a', [1, 2]]]))],
  },
]

/** A container whose checksum is right again, so that what it says is read (src/methods/container.ts). */
function stamped(bytes: Uint8Array): Uint8Array {
  if (bytes.length < 16) return bytes
  const copy = new Uint8Array(Math.ceil(bytes.length / 64) * 64)
  copy.set(bytes)
  let hash = 0x811c9dc5
  for (const word of new Uint32Array(copy.buffer, 16)) hash = Math.imul(hash ^ word, 0x01000193)
  new DataView(copy.buffer).setUint32(12, hash >>> 0, true)
  return copy
}

/** Of JPEG the header alone: its decoder is a program of its own in a memory of its own. */
function readHeader(bytes: Uint8Array): void {
  try {
    readJpegHeader(bytes)
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
  }
}

function observations(): Uint8Array {
  const shape = {
    ...({ kind: 'gram', inputs: 2, groups: 1, streamsEqual: true, wholeG: false, means: true } as const),
    weighted: false,
    ...{ segmentRows: 4096, convolution: null },
  }
  return new Observations(shape, 0, true, true, []).bytes
}

async function layerOfPlan(): Promise<PlannedLayer> {
  const nodes = [b.node('MatMul', ['x', 'w'], ['y'], {}, 'a')]
  const model = b.model(nodes, [b.noisy('w', [2, 1], 1)], [b.value('x', b.DataType.FLOAT, ['n', 2])], ['y'])
  const opened = await openModel(encodeModel(model))
  return (await joinPlan(opened, await planModel(opened, { levels: 3 }))).layers[0]!
}

async function layer(): Promise<Uint8Array> {
  const own = await planned
  const weight = { levels: 3, zero: 1, blockSize: 2, codes: Uint8Array.of(0, 2), scales: Float32Array.of(1) }
  const weights = { edge: 1, counts: [1], codes: [1, 0, 1] }
  const reported = { samples: 3, deadInputs: 0, seconds: 0.5, zeros: 0, weights, judgement: null }
  const parts = { planned: own, layer: own.layer, quantized: weight, rounded: weight }
  return layerBytes('r', { layer: { ...parts, ...reported }, notes: [] })
}

function solution(): Uint8Array {
  return solutionBytes({
    ...{ groups: 1, inputs: 2, neurons: 1, levels: 3, zero: 1, blockSize: 2 },
    codes: Uint8Array.of(0, 2),
    scales: Float32Array.of(1),
  })
}

/** Numbers that sizes go wrong at. */
const NUMBERS = [
  0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fffffff, 0x80000000, 0xfffffffa, 0xffffffff,
] as const

/** A changed copy of a file. */
function mutate(seed: Uint8Array, random: () => number): Uint8Array {
  const whole = (below: number): number => Math.floor(random() * below)
  let bytes: Uint8Array = new Uint8Array(seed)
  for (let changes = 1 + whole(4); changes > 0 && bytes.length > 0; changes--) {
    const at = whole(bytes.length)
    const number = NUMBERS[whole(NUMBERS.length)] ?? 0
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    const kind = whole(7)
    if (kind === 0 && at % 2 === 0) bytes[at] = whole(256)
    else if (kind === 0 && at + 8 <= bytes.length) view.setFloat64(at - (at % 8), number, true)
    else if (kind === 1) bytes[at] = (bytes[at] ?? 0) ^ (1 << whole(8))
    else if (kind === 2 && at + 4 <= bytes.length) view.setUint32(at, number, random() < 0.5)
    else if (kind === 3 && at + 2 <= bytes.length) view.setUint16(at, number & 0xffff, random() < 0.5)
    else if (kind === 4) bytes = bytes.slice(0, at)
    else if (kind === 5) bytes = concat(bytes.subarray(0, at), bytes.subarray(whole(bytes.length)))
    else bytes = concat(bytes.subarray(0, at), new Uint8Array(whole(40)).fill(whole(256)), bytes.subarray(at))
  }
  return bytes
}

/** A file made of a structure: headers of arrays and images that say anything. */
function invent(random: () => number): Uint8Array {
  const whole = (below: number): number => Math.floor(random() * below)
  const number = (): number => NUMBERS[whole(NUMBERS.length)] ?? 0
  const shape = Array.from({ length: whole(5) }, () =>
    random() < 0.2 ? 2 ** (20 + whole(34)) - 1 : number(),
  )
  const descr =
    ['|u1', '<f4', '>f8', '<f2', '|b1', '<i8', '|O', '<U3', '__proto__', '<constructor'][whole(10)] ?? ''
  const array = concat(
    npyHeader(`(${shape.join(', ')}${random() < 0.5 ? ',' : ''})`, { descr, fortran: random() < 0.5 }),
    new Uint8Array(whole(64)),
  )
  switch (whole(5)) {
    case 0:
      return array
    case 1:
      return gzipSync(array)
    case 2:
      return zipSync({ '__proto__.npy': array, 'x.npy': array }, { level: random() < 0.5 ? 0 : 6 })
    case 3:
      return concat(
        Uint8Array.of(0, 0, 8 + whole(8), whole(9)),
        new Uint8Array(Uint32Array.from(shape).buffer),
      )
    default:
      return pngOf(number(), number(), zlibSync(new Uint8Array(whole(100))), [], {
        depth: [1, 2, 4, 8, 16, 3][whole(6)] ?? 8,
        colour: whole(8),
        interlace: whole(3),
      })
  }
}

/** What came of all inputs. */
export interface Outcome {
  readonly faults: readonly Fault[]
  /** Inputs that were read, and refused. */
  readonly read: number
  readonly refused: number
}

/** What went wrong with an input. */
interface Fault {
  readonly input: string
  readonly what: string
}

/**
 * Reads `count` hostile files of each seed of the random numbers.
 * @returns how many were read, and the faults with the bytes of the input in hexadecimal
 */
export async function fuzzData(seed: number, count: number): Promise<Outcome> {
  const random = randomFrom(seed)
  const faults: Fault[] = []
  let refused = 0
  for (let i = 0; i < count; i++) {
    const kind = KINDS[i % KINDS.length]
    if (kind === undefined) continue
    const invented = random() < 0.2
    const bytes = invented
      ? invent(random)
      : mutate(kind.seeds[Math.floor(random() * kind.seeds.length)] ?? npy, random)
    const { error, most } = await allocated(() => kind.read(bytes))
    if (error !== undefined) refused++
    const what = faultOf(error, most, bytes.length)
    if (what !== null) faults.push({ input: Buffer.from(bytes).toString('hex'), what })
  }
  return { faults, read: count - refused, refused }
}

function faultOf(error: unknown, most: number, length: number): string | null {
  if (error !== undefined && !isDescribed(error)) return `no typed error: ${String(error)}`
  if (error instanceof Error && error.message.length > 3000)
    return `${error.message.length} characters of words`
  if (most > 4 * (BOUND + length)) return `a buffer of ${most} bytes`
  return null
}
