/**
 * Table (k): H of quantized inputs, summed as integers (assembly/integers.ts) or in float32, one thread: the kernel alone, with
 * packing from float32 rows, and as a part of all that observing sums. G = XqᵀX is float32 in both cases.
 */

import type { Task } from '#src/engine/job.js'
import { gramEdge, pieceBlocksOf, SEGMENT_ROWS } from '#src/methods/samplePlan.js'
import { BLOCK, gram, matrixBytes, PANEL_BYTES, pack, pairRows, panelsOf } from '#src/wasm/kernels.js'
import { type Instance, instantiate } from './machine.js'
import { type Case, cell, interleave, uniform } from './measure.js'
import { type Row, type Table, table } from './table.js'
import { nameOf, type Shape } from './work.js'

/** Xq = SCALE · (code − ZERO_POINT) */
const SCALE = Math.fround(0.0173)
const ZERO_POINT = 100

const QUESTIONS = ['H alone', 'H with packing', 'H and tril(G)', 'H and all of G'] as const

export async function benchIntegers(shapes: readonly Shape[], repetitions: number): Promise<Table> {
  const rows: Row[] = []
  for (const shape of shapes) {
    const times = await interleave(casesOf(await instantiate(16384), shape), repetitions)
    const cells = QUESTIONS.map((question) => {
      const [floats, integers] = [times.get(`${question}, float32`)!, times.get(`${question}, integers`)!]
      return [question, cell(integers, 's', ` (${(floats.min / integers.min).toFixed(2)} × as fast)`)]
    })
    rows.push({ 'm × N': nameOf(shape).split('×', 2).join('×'), ...Object.fromEntries(cells) })
  }
  return table(
    '(k) H of quantized inputs as integers, 1 thread: seconds min / median ± spread (× as fast as float32)',
    ['m × N', ...QUESTIONS],
    rows,
  )
}

function casesOf(instance: Instance, shape: Shape): Case[] {
  const { run, at, panels, pieces } = layerOf(instance, shape)
  const size = { panels, groups: 1, edge: gramEdge(panels) }
  const packed = (source: number, to: number, from: number, rows: number): Task =>
    pack({
      ...{ source, groupBytes: 0, rowAt: at.rowAt + 4 * from, columnAt: at.columnAt, contiguous: true, rows },
      ...{
        columns: shape.inputs,
        groups: 1,
        panels: to,
        perGroup: panels,
        panelBytes: PANEL_BYTES,
        toRow: 0,
      },
    })
  const pairs = (rows: number): Task => pairRows({ from: at.xq, to: at.pairs, rows, panels, scale: SCALE })
  const ofH = (integers: boolean, rows: number, ends: boolean): Task => {
    const own = integers ? at.pairs : at.xq
    return gram({
      ...{ ...size, a: own, b: own, c: at.sum, total: ends ? at.total : 0, rows },
      ...{ triangular: true, lower: true, factor: integers ? SCALE ** 2 : 0 },
    })
  }
  const ofG = (rows: number, ends: boolean, lower: boolean): Task =>
    gram({
      ...{ ...size, a: at.x, b: at.xq, c: at.sumG, total: ends ? at.totalG : 0, rows },
      ...{ triangular: lower, lower },
    })
  /** @param g lower: tril(G); null: Xq alone */
  const whole = (integers: boolean, g: { lower: boolean } | null) => (): void => {
    for (const { from, rows, ends } of pieces(g === null)) {
      run(packed(at.sourceXq, at.xq, from, rows))
      if (g !== null) run(packed(at.sourceX, at.x, from, rows))
      if (integers) run(pairs(rows))
      run(ofH(integers, rows, ends))
      if (g !== null) run(ofG(rows, ends, g.lower))
    }
  }
  const alone = (integers: boolean) => (): void => {
    for (const { rows } of pieces(true)) run(ofH(integers, rows, false))
  }
  return [false, true].flatMap((integers) => {
    const kind = integers ? 'integers' : 'float32'
    const runs = [
      alone(integers),
      whole(integers, null),
      whole(integers, { lower: true }),
      whole(integers, { lower: false }),
    ]
    return QUESTIONS.map((question, i) => ({ name: `${question}, ${kind}`, run: runs[i]! }))
  })
}

interface Piece {
  readonly from: number
  readonly rows: number
  readonly ends: boolean // the last rows of a segment
}

/** Memory of a layer with its samples, and how to run tasks on it. */
function layerOf({ kernels, memory }: Instance, { samples, inputs }: Shape) {
  const panels = panelsOf(inputs)
  let top = 65536
  const room = (bytes: number): number => {
    const at = top
    top += Math.ceil(bytes / 64) * 64 + 4096
    return at
  }
  const blocksOf = (streamsEqual: boolean): number =>
    pieceBlocksOf({ rows: samples, streamsEqual, groups: 1, inputs })
  const pieceBytes = blocksOf(true) * panels * PANEL_BYTES
  const [triangle, square] = [matrixBytes(panels, true), matrixBytes(panels, false)]
  const at = {
    ...{ sourceX: room(4 * samples * inputs), sourceXq: room(4 * samples * inputs) },
    ...{ rowAt: room(4 * samples), columnAt: room(4 * 8 * panels) },
    ...{ x: room(pieceBytes), xq: room(pieceBytes), pairs: room(pieceBytes) },
    ...{ sum: room(triangle), total: room(triangle), sumG: room(square), totalG: room(square) },
  }
  const [floats, words] = [new Float32Array(memory.buffer), new Uint32Array(memory.buffer)]
  const next = uniform(9)
  for (let i = 0; i < samples * inputs; i++) {
    const value = SCALE * (Math.floor(256 * next()) - ZERO_POINT)
    floats[at.sourceXq / 4 + i] = value
    floats[at.sourceX / 4 + i] = value + SCALE * (next() - 0.5)
  }
  for (let r = 0; r < samples; r++) words[at.rowAt / 4 + r] = 4 * r * inputs
  for (let i = 0; i < inputs; i++) words[at.columnAt / 4 + i] = 4 * i
  const run = ({ kernel, args, items }: Task): void => void kernels[kernel]!(...args, 0, items, 0)
  const pieces = (streamsEqual: boolean): Piece[] => {
    const most = BLOCK * blocksOf(streamsEqual)
    const out: Piece[] = []
    for (let from = 0; from < samples; from += out.at(-1)!.rows) {
      const segmentEnd = Math.min(samples, (Math.floor(from / SEGMENT_ROWS) + 1) * SEGMENT_ROWS)
      const rows = Math.min(most, segmentEnd - from)
      out.push({ from, rows, ends: from + rows === segmentEnd })
    }
    return out
  }
  return { run, at, panels, pieces }
}
