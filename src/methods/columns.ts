/**
 * A layer's weights, scales and codes in the kernels' layout: panels of 8 neurons, [group][neuron panel][input][8]. Layers
 * that share their samples are solved one after another in the same memory: each overwrites the one before.
 */
import type { Phase } from '../engine/job.js'
import type { Arena, Pointer } from '../wasm/arena.js'
import { PANEL, pack, panelsOf } from '../wasm/kernels.js'
import { type WeightShape, zeroPoint } from './alphabet.js'
import type { Regions } from './layout.js'
import { steps } from './samples.js'
import type { SolveRequest } from './solution.js'

/**
 * Unpacks [group][neuron panel][held][lanes] into (groups, rows, neurons).
 * @param held rows of a panel in memory
 * @param rows rows that are read, the first ones of `held`
 * @returns `to`
 */
export function fromPanels<T extends Float32Array | Uint8Array | Uint32Array>(
  packed: T,
  held: number,
  rows: number,
  { groups, neurons }: Omit<WeightShape, 'inputs'>,
  to: T,
  lanes: number = PANEL,
): T {
  const from = new Uint32Array(neurons)
  let at = 0
  for (let g = 0; g < groups; g++) {
    for (let k = 0; k < neurons; k++) {
      const panel = g * Math.ceil(neurons / lanes) + Math.floor(k / lanes)
      from[k] = panel * held * lanes + (k % lanes)
    }
    for (let t = 0; t < rows; t++) {
      for (let k = 0; k < neurons; k++) to[at++] = packed[from[k]! + t * lanes]!
    }
  }
  return to
}

/**
 * Packs (groups, inputs, neurons) into [group][neuron panel][held][8]. Padding is not written.
 * @param held rows of a panel in memory
 */
export function toPanels<T extends Float32Array | Uint8Array>(
  values: T,
  { groups, inputs, neurons }: WeightShape,
  held: number,
  packed: T,
): void {
  let at = 0
  for (let g = 0; g < groups; g++) {
    for (let t = 0; t < inputs; t++) {
      for (let k = 0; k < neurons; k++) {
        const panel = g * panelsOf(neurons) + (k >> 3)
        packed[(panel * held + t) * PANEL + (k & 7)] = values[at++]!
      }
    }
  }
}

/**
 * Packs rows of float32, each `rowBytes` behind the one before.
 * @param offsets memory for the offsets of all rows and columns
 */
export function packRows(
  arena: Arena,
  {
    offsets,
    rowBytes,
    ...a
  }: Omit<Parameters<typeof pack>[0], 'rowAt' | 'columnAt' | 'contiguous' | 'perGroup' | 'toRow'> & {
    readonly offsets: Pointer
    readonly rowBytes: number
  },
): Phase {
  const columnAt = offsets + 4 * a.rows
  arena.words(offsets, a.rows).set(steps(a.rows, rowBytes))
  arena.words(columnAt, a.columns).set(steps(a.columns, 4))
  return [pack({ ...a, rowAt: offsets, columnAt, contiguous: true, perGroup: panelsOf(a.columns), toRow: 0 })]
}

/** The memory of one layer’s weights, scales and codes, and how values are copied in and out. */
export class Columns {
  readonly weights: Pointer // [group][neuron panel][8·panels][8] float32
  readonly scales: Pointer // [group][candidate][neuron panel][scale block][8] float32
  readonly zeros: Pointer // same shape
  readonly codes: Pointer // [group][neuron panel][8·panels][8] bytes
  readonly #arena: Arena
  readonly #raw: Pointer // (groups, inputs, neurons)
  readonly #offsets: Pointer
  readonly #panels: number

  /** @param regions memory of a plan that includes columnNeeds (solvePlan.ts) */
  constructor(arena: Arena, regions: Regions, inputs: number) {
    this.#arena = arena
    this.#panels = panelsOf(inputs)
    this.weights = regions.at('weights')
    this.scales = regions.at('scales')
    this.zeros = regions.at('zero points')
    this.codes = regions.at('codes')
    this.#raw = regions.at('weights as given')
    this.#offsets = regions.at('offsets of weights')
  }

  /** The arguments that all kernels over these columns share. The request's weights and scales must be loaded. */
  of({ shape, levels, scales }: SolveRequest) {
    const neuronPanels = panelsOf(shape.neurons)
    return {
      weights: this.weights,
      scales: this.scales,
      zeros: this.zeros,
      codes: this.codes,
      inputs: shape.inputs,
      panels: this.#panels,
      neuronPanels,
      groups: shape.groups,
      columns: shape.groups * neuronPanels,
      scaleBlocks: scales.blocks,
      scaleBlockSize: scales.blockSize,
      top: levels - 1,
    }
  }

  /** Copies the weights into shared memory. The phase that it returns packs them. */
  load({ weights, shape: { groups, inputs, neurons } }: SolveRequest): Phase {
    this.#arena.floats(this.#raw, weights.length).set(weights)
    const panelBytes = this.#panels * 256
    // Rows from `inputs` to 8·panels are never packed: they stay zero, like the padding of H and G.
    if (inputs < this.#panels * PANEL) {
      this.#arena.floats(this.weights, (groups * panelsOf(neurons) * panelBytes) / 4).fill(0)
    }
    return packRows(this.#arena, {
      source: this.#raw,
      offsets: this.#offsets,
      rowBytes: 4 * neurons,
      groupBytes: 4 * inputs * neurons,
      ...{ rows: inputs, columns: neurons, groups, panels: this.weights, panelBytes },
    })
  }

  /**
   * Writes the scales of all candidates: each is the given scales times one fraction.
   * @param own (groups, blocks, neurons)
   */
  setScales(
    { shape: { groups, neurons }, levels, scales: { blocks, values } }: SolveRequest,
    own: Float32Array = values,
    fractions: readonly number[] = [1],
  ): void {
    const candidates = fractions.length
    const perGroup = panelsOf(neurons)
    const length = groups * candidates * perGroup * blocks * PANEL
    const packed = this.#arena.floats(this.scales, length)
    this.#arena.floats(this.zeros, length).fill(zeroPoint(levels))
    packed.fill(1)
    for (let g = 0; g < groups; g++) {
      for (let c = 0; c < candidates; c++) {
        for (let b = 0; b < blocks; b++) {
          for (let k = 0; k < neurons; k++) {
            const panel = (g * candidates + c) * perGroup + (k >> 3)
            packed[(panel * blocks + b) * PANEL + (k & 7)] =
              own[(g * blocks + b) * neurons + k]! * fractions[c]!
          }
        }
      }
    }
  }

  /**
   * Reads the scales of one candidate, (groups, blocks, neurons).
   * @param at other scales of the same layout
   */
  readScales({ groups, neurons }: WeightShape, blocks: number, at: Pointer = this.scales): Float32Array {
    const packed = this.#arena.floats(at, groups * panelsOf(neurons) * blocks * PANEL)
    const scales = new Float32Array(groups * blocks * neurons)
    return fromPanels(packed, blocks, blocks, { groups, neurons }, scales)
  }

  /** Reads the codes of one candidate, (groups, inputs, neurons). */
  readCodes(shape: WeightShape): Uint8Array {
    const { groups, inputs, neurons } = shape
    const held = this.#panels * PANEL
    const codes = new Uint8Array(groups * inputs * neurons)
    const packed = this.#arena.bytes(this.codes, groups * panelsOf(neurons) * held * PANEL)
    if (neurons % 4 > 0) return fromPanels(packed, held, inputs, shape, codes)
    // Codes of neighbouring neurons are adjacent in both layouts, so they are copied four at a time.
    const words = this.#arena.words(this.codes, packed.length / 4)
    const fours = new Uint32Array(codes.buffer)
    fromPanels(words, held, inputs, { groups, neurons: neurons / 4 }, fours, PANEL / 4)
    return codes
  }

  /** Writes the codes of one candidate, given as (groups, inputs, neurons). */
  writeCodes(shape: WeightShape, codes: Uint8Array): void {
    const held = this.#panels * PANEL
    const length = shape.groups * panelsOf(shape.neurons) * held * PANEL
    toPanels(codes, shape, held, this.#arena.bytes(this.codes, length))
  }
}
