/**
 * Layers and the codes that a float64 program outside of this project chose for them (../shared/golden, see its README),
 * in the engine's terms: convolutions as groups of patch matrices, made here without the gather.
 */
import { existsSync, readFileSync } from 'node:fs'
import { gatherFor } from '#src/calibration/gather.js'
import { openNpz } from '#src/data/npz.js'
import type { Scales } from '#src/methods/alphabet.js'
import type { Engine } from '#src/methods/engine.js'
import type { Recipe } from '#src/methods/recipe.js'
import { denseGather, type Gather, paddedBytes } from '#src/methods/samples.js'
import { type PatchGeometry, patches } from '#src/reference/patches.js'
import { observeAndSolve, type Quantized } from './methods/observeAndSolve.js'

export const FOLDER = new URL('../../shared/golden/', import.meta.url)
export const present = existsSync(new URL('index.json', FOLDER))
export interface Entry {
  readonly name: string
  readonly levels: number
  readonly nearTies: number
  readonly relativeError?: number
  readonly relativeErrorByGroup?: readonly number[]
  readonly weight?: readonly number[] // dims of a convolution's
  readonly group: number // inputs per scale of a dense layer, groups of a convolution
}

/** A golden layer in the engine's terms; codes, margins and weights are (groups, inputs, neurons). */
export interface Golden {
  readonly groups: number
  readonly rows: number
  readonly inputs: number
  readonly neurons: number
  readonly weights: Float32Array
  readonly codes: Uint8Array
  readonly margins: Float32Array
  readonly scales: Scales
  readonly x: Float32Array
  readonly xq: Float32Array | null
  readonly gather: Gather
  /** Sample matrices (rows, inputs) of each group, made without the gather. */
  readonly samples: readonly { readonly x: ArrayLike<number>; readonly xq: ArrayLike<number> }[]
}

/** @param perChannel each channel of a convolution its own group, as in 2010.15979; codes and margins are left as they are */
export function load(entry: Entry, perChannel = false): Golden {
  const archive = openNpz(readFileSync(new URL(`${entry.name}.npz`, FOLDER)), entry.name)
  const floats = (name: string): Float32Array => archive.get(name).data as Float32Array
  const bytes = (name: string): Uint8Array => archive.get(name).data as Uint8Array
  const numbers = (name: string): number[] => Array.from(archive.get(name).data as BigInt64Array, Number)
  if (archive.names.includes('W')) {
    const [inputs = 0, neurons = 0] = archive.get('W').dims
    const x = floats('X')
    const xq = archive.names.includes('Xq') ? floats('Xq') : null
    const rows = x.length / inputs
    const blockSize = entry.group === 0 ? inputs : entry.group
    const radius = floats('radius')
    return {
      groups: 1,
      ...{ rows, inputs, neurons, x, xq },
      weights: floats('W'),
      codes: bytes('codes'),
      margins: floats('margin'),
      scales: scalesOf(radius, entry.levels, { groups: 1, blocks: inputs / blockSize, neurons, blockSize }),
      gather: denseGather(rows, inputs),
      samples: [{ x, xq: xq ?? x }],
    }
  }
  return loadConvolution(
    entry,
    perChannel,
    archive.get('x').dims,
    archive.get('weight').dims,
    floats,
    bytes,
    numbers,
  )
}

function loadConvolution(
  entry: Entry,
  perChannel: boolean,
  dims: readonly number[],
  [outputs = 0, perGroup = 0, height = 0, width = 0]: readonly number[],
  floats: (name: string) => Float32Array,
  bytes: (name: string) => Uint8Array,
  numbers: (name: string) => number[],
): Golden {
  const channels = perChannel ? perGroup : 1 // that are groups of their own
  const groups = entry.group * channels
  const inputs = (perGroup / channels) * height * width
  const neurons = outputs / entry.group
  const [x, xq] = [floats('x'), floats('xq')]
  const geometry: PatchGeometry = {
    batch: dims[0]!,
    channels: dims[1]!,
    height: dims[2]!,
    width: dims[3]!,
    kernel: [height, width],
    strides: numbers('stride') as [number, number],
    dilations: numbers('dilations') as [number, number],
    pads: numbers('pads') as [number, number, number, number],
    groups,
  }
  const gather = gatherFor({
    place: entry.name,
    sampling: { kind: 'patches', ...geometry, autoPad: 'NOTSET' },
    ...{ dims, inputs, groups },
    firstImage: 0,
    images: dims[0]!,
    patches: 0,
  })
  const [analog, quantized] = [patches(x, geometry), patches(xq, geometry)]
  // (outputs, inputs) → (groups, inputs, neurons); a channel's inputs lie together, so groups of channels lie the same.
  const canonical = <T extends Float32Array | Uint8Array>(values: T): T =>
    values.map((_, i) => {
      const all = inputs * channels
      const [g, t, k] = [Math.floor(i / (all * neurons)), Math.floor(i / neurons) % all, i % neurons]
      return values[(g * neurons + k) * all + t]!
    }) as T
  return {
    ...{ groups, inputs, neurons, x, xq, gather },
    rows: analog.rows,
    weights: canonical(floats('weight')),
    codes: canonical(bytes('codes')),
    margins: canonical(floats('margin')),
    scales: scalesOf(eachChannel(floats('radius'), neurons, channels), entry.levels, {
      ...{ groups, blocks: 1, neurons, blockSize: inputs },
    }),
    samples: analog.groups.map((matrix, g) => ({ x: matrix, xq: quantized.groups[g]! })),
  }
}

/** Radii (groups · neurons) once more for every channel. */
const eachChannel = (radius: Float32Array, neurons: number, channels: number): Float32Array =>
  Float32Array.from({ length: radius.length * channels }, (_, i) => {
    const [group, k] = [Math.floor(i / (neurons * channels)), i % neurons]
    return radius[(group * neurons + k) % radius.length]!
  })

/** @param radius one for all, (neurons), or (rows, neurons) where a row is a block of inputs or a group */
function scalesOf(
  radius: Float32Array,
  levels: number,
  shape: { groups: number; blocks: number; neurons: number; blockSize: number },
): Scales {
  const { groups, blocks, neurons, blockSize } = shape
  const values = Float32Array.from({ length: groups * blocks * neurons }, (_, i) => {
    return (2 * radius[i % radius.length]!) / (levels - 1)
  })
  return { values, blocks, blockSize }
}

export const entries = present
  ? (JSON.parse(readFileSync(new URL('index.json', FOLDER), 'utf8')) as Entry[])
  : []

/** Quantizes a golden layer at its own scales. */
export function solve(
  engine: Engine,
  golden: Golden,
  levels: number,
  recipe: Recipe,
  measure = false,
): Promise<Quantized> {
  const { groups, rows, inputs, neurons, weights, scales, x, xq, gather } = golden
  const shape = {
    ...{ rows, inputs, groups, streamsEqual: xq === null },
    batchBytes: 4 * x.length,
    batchPaddedBytes: paddedBytes(gather),
    batchRows: rows,
  }
  const request = { weights, shape: { groups, inputs, neurons }, levels, scales, search: 'none' } as const
  const options = { recipe, measure, place: 'golden' }
  return observeAndSolve(engine, shape, () => [{ x, xq, gather }], [request], options)
}
