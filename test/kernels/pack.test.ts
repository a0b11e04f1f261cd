/** assembly/pack.ts: any strided source becomes panels of 8 columns, and only its rows are written. */
import fc from 'fast-check'
import { describe, it } from 'vitest'
import { pack, padPlanes } from '#src/wasm/kernels.js'
import { expectSame } from '../arrays.js'
import { randomFrom, reals } from '../random.js'
import { panelsOf } from './layout.js'
import { Machine } from './machine.js'

const machine = await Machine.create()

interface Packing {
  readonly rows: number
  readonly columns: number
  readonly groups: number
  readonly blockRows: number
  /** Unused rows between two panels; the rows of a panel are a multiple of 8. */
  readonly gap: number
  readonly toRow: number
  readonly perGroup: number
  /** Floats of a group, of a row, of a column. */
  readonly groupAt: number
  readonly rowAt: readonly number[]
  readonly columnAt: readonly number[]
  readonly contiguous: boolean
}

/** Packs with the kernel and directly: both must write the same bytes and leave the same bytes unchanged. */
function check(packing: Packing, seed: number): void {
  const { rows, columns, groups, blockRows, gap, toRow, perGroup, groupAt, rowAt, columnAt } = packing
  const source = reals((groups - 1) * groupAt + Math.max(...rowAt) + Math.max(...columnAt) + 1, seed)
  const blocks = Math.ceil((toRow + rows) / blockRows)
  const panelRows = blockRows + gap
  const length = blocks * groups * perGroup * panelRows * 8
  const expected = new Float32Array(new Uint8Array(4 * length).fill(0xff).buffer)
  for (let r = 0; r < rows; r++) {
    for (let g = 0; g < groups; g++) {
      for (let c = 0; c < 8 * perGroup; c++) {
        const block = Math.floor((toRow + r) / blockRows)
        const panel = (block * groups + g) * perGroup + (c >> 3)
        expected[(panel * panelRows + ((toRow + r) % blockRows)) * 8 + (c & 7)] =
          c < columns ? source[g * groupAt + rowAt[r]! + columnAt[c]!]! : 0
      }
    }
  }
  machine.reset()
  const panels = machine.floats(length)
  const task = pack({
    source: machine.floats(source).at,
    groupBytes: 4 * groupAt,
    rowAt: machine.words(rowAt.map((at) => 4 * at)),
    columnAt: machine.words(columnAt.map((at) => 4 * at)),
    contiguous: packing.contiguous,
    rows,
    columns,
    groups,
    panels: panels.at,
    perGroup,
    panelBytes: panelRows * 32,
    toRow,
  })
  machine.run(task, { seed })
  expectSame(panels.values, expected)
}

const shape = fc.record({
  rows: fc.integer({ min: 1, max: 90 }),
  columns: fc.integer({ min: 1, max: 30 }),
  groups: fc.integer({ min: 1, max: 3 }),
  extraPanels: fc.integer({ min: 0, max: 2 }),
  blockRows: fc.constantFrom(8, 16, 24, 256),
  gap: fc.integer({ min: 0, max: 7 }),
  toRow: fc.integer({ min: 0, max: 60 }),
  seed: fc.integer({ min: 0, max: 2 ** 31 }),
})

describe('pack', () => {
  it('lays the rows of dense matrices into panels, zero beyond the columns', () => {
    fc.assert(
      fc.property(shape, ({ extraPanels, seed, ...packing }) => {
        const { rows, columns } = packing
        const perGroup = panelsOf(columns) + extraPanels
        const rowAt = Array.from({ length: rows }, (_, r) => r * columns)
        const columnAt = Array.from({ length: columns }, (_, c) => c)
        check({ ...packing, perGroup, groupAt: rows * columns, rowAt, columnAt, contiguous: true }, seed)
      }),
      { seed: 1, numRuns: 80 },
    )
  })

  it('gathers taps from any offsets', () => {
    fc.assert(
      fc.property(shape, ({ extraPanels, seed, ...packing }) => {
        const { rows, columns } = packing
        const random = randomFrom(seed)
        const perGroup = panelsOf(columns) + extraPanels
        const rowAt = Array.from({ length: rows }, () => Math.floor(500 * random()))
        const columnAt = Array.from({ length: columns }, () => Math.floor(500 * random()))
        const groupAt = Math.floor(100 * random())
        check({ ...packing, perGroup, groupAt, rowAt, columnAt, contiguous: false }, seed)
      }),
      { seed: 2, numRuns: 80 },
    )
  })

  it('splits rows that run over several blocks of 256', () => {
    const rowAt = Array.from({ length: 700 }, (_, r) => 17 * r)
    const columnAt = Array.from({ length: 17 }, (_, c) => c)
    const common = {
      rows: 700,
      columns: 17,
      groups: 1,
      blockRows: 256,
      gap: 2,
      perGroup: 3,
      groupAt: 0,
      rowAt,
      columnAt,
    }
    for (const toRow of [0, 100, 255, 256]) check({ ...common, toRow, contiguous: true }, toRow)
  })
})

describe('padPlanes', () => {
  it('copies every plane into a larger plane of zeros', () => {
    const side = fc.integer({ min: 1, max: 11 })
    const pad = fc.integer({ min: 0, max: 3 })
    const planes = fc.integer({ min: 1, max: 5 })
    fc.assert(
      fc.property(planes, side, side, fc.tuple(pad, pad, pad, pad), (count, height, width, pads) => {
        const [top, left, bottom, right] = pads
        const paddedHeight = height + top + bottom
        const paddedWidth = width + left + right
        const values = reals(count * height * width, 5)
        const expected = new Float32Array(count * paddedHeight * paddedWidth)
        for (let i = 0; i < values.length; i++) {
          const [plane, y, x] = [Math.floor(i / (height * width)), Math.floor(i / width) % height, i % width]
          expected[(plane * paddedHeight + y + top) * paddedWidth + x + left] = values[i]!
        }
        machine.reset()
        const source = machine.floats(values).at
        const target = machine.floats(expected.length)
        const task = padPlanes({
          source,
          target: target.at,
          planes: count,
          height,
          width,
          paddedHeight,
          paddedWidth,
          top,
          left,
        })
        machine.run({ ...task, step: 1 }, { seed: 1 })
        expectSame(target.values, expected)
      }),
      { seed: 3, numRuns: 100 },
    )
  })
})
