/**
 * The independent witness: layers whose codes a float64 program outside of this project chose (../shared/golden, see its
 * README). Every layer in both forms, on one and two threads, gives its codes. A neuron with a value within 10⁻⁴ steps
 * of a rounding boundary may leave the golden path there; such neurons are counted, and no other may differ at all.
 */
import { existsSync, readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { gatherFor } from '#src/calibration/gather.js'
import { openNpz } from '#src/data/npz.js'
import { type Scales, zeroPoint } from '#src/methods/alphabet.js'
import { type Engine, quantizeSamples, type SamplesResult } from '#src/methods/quantizeSamples.js'
import { denseGather, type Gather } from '#src/methods/samples.js'
import { gpfq } from '#src/reference/gpfq.js'
import { type PatchGeometry, patches } from '#src/reference/patches.js'
import { createEngine, type OwnEngine } from './engine/engine.js'

const FOLDER = new URL('../../shared/golden/', import.meta.url)
const present = existsSync(new URL('index.json', FOLDER))
const NEAR = 1e-4

interface Entry {
  readonly name: string
  readonly levels: number
  readonly nearTies: number
  readonly relativeError?: number
  readonly relativeErrorByGroup?: readonly number[]
  readonly group: number // inputs per scale of a dense layer, groups of a convolution
}

/** A golden layer in the engine's terms; codes, margins and weights are (groups, inputs, neurons). */
interface Golden {
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

function load(entry: Entry): Golden {
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
  return loadConvolution(entry, archive.get('x').dims, archive.get('weight').dims, floats, bytes, numbers)
}

function loadConvolution(
  entry: Entry,
  dims: readonly number[],
  [outputs = 0, perGroup = 0, height = 0, width = 0]: readonly number[],
  floats: (name: string) => Float32Array,
  bytes: (name: string) => Uint8Array,
  numbers: (name: string) => number[],
): Golden {
  const groups = entry.group
  const inputs = perGroup * height * width
  const neurons = outputs / groups
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
  const canonical = <T extends Float32Array | Uint8Array>(values: T): T =>
    values.map((_, i) => {
      const [g, t, k] = [Math.floor(i / (inputs * neurons)), Math.floor(i / neurons) % inputs, i % neurons]
      return values[(g * neurons + k) * inputs + t]!
    }) as T
  return {
    ...{ groups, inputs, neurons, x, xq, gather },
    rows: analog.rows,
    weights: canonical(floats('weight')),
    codes: canonical(bytes('codes')),
    margins: canonical(floats('margin')),
    scales: scalesOf(floats('radius'), entry.levels, { groups, blocks: 1, neurons, blockSize: inputs }),
    samples: analog.groups.map((matrix, g) => ({ x: matrix, xq: quantized.groups[g]! })),
  }
}

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

/** Neurons whose codes differ; fails where one differs before its path comes near a boundary. */
function countDiffering({ groups, inputs, neurons, codes, margins }: Golden, actual: Uint8Array): number {
  let differing = 0
  for (let g = 0; g < groups; g++) {
    for (let k = 0; k < neurons; k++) {
      const at = (t: number): number => (g * inputs + t) * neurons + k
      for (let t = 0; t < inputs && !(margins[at(t)]! < NEAR); t++) {
        if (actual[at(t)] !== codes[at(t)]) {
          expect(actual[at(t)], `code of group ${g}, input ${t}, neuron ${k}`).toBe(codes[at(t)])
        }
      }
      for (let t = 0; t < inputs; t++) {
        if (actual[at(t)] === codes[at(t)]) continue
        differing++
        break
      }
    }
  }
  return differing
}

/** The reference on group g. */
function reference(golden: Golden, levels: number, g: number): ReturnType<typeof gpfq> {
  const { rows, inputs, neurons, weights, scales, samples } = golden
  const blocks = Math.ceil(inputs / scales.blockSize)
  return gpfq({
    ...{ rows, inputs, neurons, levels },
    weights: weights.subarray(g * inputs * neurons, (g + 1) * inputs * neurons),
    samples: samples[g]!.x,
    quantizedSamples: samples[g]!.xq,
    scales: scales.values.subarray(g * blocks * neurons, (g + 1) * blocks * neurons),
    blockSize: scales.blockSize,
    zero: zeroPoint(levels),
  })
}

const entries = present ? (JSON.parse(readFileSync(new URL('index.json', FOLDER), 'utf8')) as Entry[]) : []
const engines: OwnEngine[] = []
beforeAll(async () => {
  if (present) for (const threads of [1, 2]) engines.push(await createEngine(threads))
})
afterAll(async () => {
  await Promise.all(engines.map(({ pool }) => pool.close()))
})

function solve(
  engine: Engine,
  golden: Golden,
  levels: number,
  form: 'gram' | 'direct',
): Promise<SamplesResult> {
  const { groups, rows, inputs, neurons, weights, scales, x, xq, gather } = golden
  const { padding } = gather
  const shape = {
    ...{ inputs, neurons, groups },
    samples: rows,
    same: xq === null,
    candidates: 1,
    scaleBlocks: scales.blocks,
    batchBytes: 4 * x.length,
    batchPaddedBytes: padding === null ? 0 : 4 * padding.planes * padding.paddedHeight * padding.paddedWidth,
    batchRows: rows,
  }
  const request = {
    weights,
    shape: { groups, inputs, neurons },
    levels,
    scales,
    search: 'none',
  } as const
  return quantizeSamples(engine, shape, () => [{ x, xq, gather }], [request], {
    form,
    measure: true,
    place: 'golden',
  })
}

describe.skipIf(!present)('golden layers', () => {
  describe.each(entries)('$name', (entry) => {
    const golden = load(entry)
    const { groups, samples, rows, inputs, neurons } = golden

    it('is what the reference computes', () => {
      const codes = new Uint8Array(golden.codes.length)
      const errors = samples.map((_, g) => {
        const result = reference(golden, entry.levels, g)
        codes.set(result.codes, g * inputs * neurons)
        return result.relativeError
      })
      expect(countDiffering(golden, codes)).toBe(0)
      const expected = entry.relativeErrorByGroup ?? [entry.relativeError!]
      expected.forEach((error, g) => {
        expect(errors[g]! / error).toBeCloseTo(1, 4)
      })
    })

    for (const form of ['gram', 'direct'] as const) {
      it.each([1, 2])(`comes out of the ${form} form on %i threads`, async (threads) => {
        const engine = engines[threads - 1]!
        const { solutions, relativeError, plan } = await solve(engine, golden, entry.levels, form)
        expect(plan.form).toBe(form)
        expect(countDiffering(golden, solutions[0]!.codes)).toBeLessThanOrEqual(entry.nearTies)
        // The golden errors are per group: join them by the groups' signals.
        let error2 = 0
        let signal2 = 0
        for (let g = 0; g < groups; g++) {
          const signal = signalOf(
            samples[g]!.x,
            golden.weights.subarray(g * inputs * neurons),
            rows,
            inputs,
            neurons,
          )
          const error =
            entry.relativeErrorByGroup?.[g] ??
            entry.relativeError ??
            reference(golden, entry.levels, g).relativeError
          signal2 += signal
          error2 += error * error * signal
        }
        expect(relativeError! / Math.sqrt(error2 / signal2)).toBeCloseTo(1, 4)
      })
    }
  })
})

/** ‖XW‖² */
function signalOf(
  x: ArrayLike<number>,
  w: Float32Array,
  rows: number,
  inputs: number,
  neurons: number,
): number {
  let signal2 = 0
  for (let r = 0; r < rows; r++) {
    for (let k = 0; k < neurons; k++) {
      let y = 0
      for (let t = 0; t < inputs; t++) y += x[r * inputs + t]! * w[t * neurons + k]!
      signal2 += y * y
    }
  }
  return signal2
}

if (!present) it.skip(`golden layers: there is no ${FOLDER.pathname}index.json`, () => {})
