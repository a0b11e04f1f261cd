/**
 * What a transformer of 7 billion parameters would take on machines of 16 cores: arithmetic from rates that are measured here, on
 * one thread, and from assumptions that the table names.
 */
import { createExecutor } from '#src/executor/choose.js'
import { GRID, scalesFor } from '#src/methods/alphabet.js'
import { GPFQ } from '#src/methods/recipe.js'
import { denseGather } from '#src/methods/samples.js'
import { reals } from '../../test/random.js'

/** Multiplications and additions a second of one thread. */
export interface Rates {
  readonly observe: number
  readonly solve: number
}

export async function measureRates(): Promise<Rates> {
  const [rows, inputs, neurons] = [4096, 2048, 256]
  const executor = await createExecutor({ threads: 1 })
  try {
    const x = reals(rows * inputs, 1)
    const xq = x.map((value) => Math.fround(value * 1.01))
    const gather = denseGather(rows, inputs)
    const shape = {
      ...{ rows, inputs, groups: 1, streamsEqual: false, wholeG: true, means: false, segmentRows: rows },
      ...{ batchBytes: x.byteLength, batchPaddedBytes: 0, batchRows: rows },
    }
    const timed = async <T>(act: () => Promise<T>): Promise<readonly [T, number]> => {
      const start = performance.now()
      return [await act(), (performance.now() - start) / 1000]
    }
    const place = 'rates'
    const [seen, observed] = await timed(() =>
      executor.observe(shape, [{ x, xq, gather }], { kind: 'gram', place }),
    )
    const weights = reals(inputs * neurons, 2)
    const own = { groups: 1, inputs, neurons }
    const scales = scalesFor(weights, own, 15, 'neuron', { rule: 'max' })
    const request = { weights, shape: own, levels: 15, scales, search: 'neuron' } as const
    const recipe = { ...GPFQ, actOrder: true }
    const [, solved] = await timed(() => executor.solve(seen, [request], { recipe, place }))
    return {
      observe: (rows * 1.5 * inputs ** 2) / observed,
      solve: (inputs ** 2 * neurons * (GRID.length + 2)) / solved,
    }
  } finally {
    await executor.close()
  }
}

const BLOCKS = 32
const ROWS = 128 * 512
const CORES = 16
const SEGMENTS = 16
/** Bytes a second that the store takes and gives: 10 Gbit/s. */
const STORE = 1.25e9
/** Share of the cores' rate that ONNX Runtime's wasm build reaches in MatMul: as the kernels'. */
const NEURONS: readonly (readonly [inputs: number, neurons: number])[] = [
  [4096, 3 * 4096], // q, k, v
  [4096, 4096], // o
  [4096, 2 * 11008], // gate, up
  [11008, 4096], // down
]

const sum = (of: (inputs: number, neurons: number) => number): number =>
  NEURONS.reduce((total, [inputs, neurons]) => total + of(inputs, neurons), 0)

/** H, lower triangle, and all of G. */
const sumBytes = (inputs: number): number => 4 * 1.5 * inputs ** 2

/** @returns the rows of the table: one a number of machines */
export function forecast({ observe, solve }: Rates): readonly string[] {
  const hours = (seconds: number): string => (seconds / 3600).toFixed(2)
  return [1, 4, 16, 64].map((machines) => {
    // Parts are whole segments, so that more than 16 machines do not help with the samples.
    const parts = Math.min(machines, SEGMENTS)
    const run = (BLOCKS * sum((n, m) => 2 * ROWS * n * m)) / (observe * CORES * parts)
    const observing = (BLOCKS * sum((n) => ROWS * 1.5 * n ** 2)) / (observe * CORES * parts)
    const solving = (BLOCKS * sum((n, m) => n ** 2 * m * (GRID.length + 2))) / (solve * CORES * machines)
    // The first part is one sum; each later one keeps that of every segment.
    const sums = parts === 1 ? 1 : 1 + SEGMENTS - SEGMENTS / parts
    // In and out: parts to the coordinator, and the merged sums to every machine that solves.
    const bytes = machines === 1 ? 0 : BLOCKS * sum((n) => sumBytes(n) * (2 * sums + 1 + machines))
    const moving = bytes / STORE
    const total = run + observing + solving + moving
    const limit = Object.entries({
      'the networks': run,
      sums: observing,
      solving,
      'the store': moving,
    }).reduce((a, b) => (b[1] > a[1] ? b : a))[0]
    const each = [run, observing, solving, moving, total].map(hours)
    return `| ${machines} | ${each.join(' | ')} | ${(bytes / 1e12).toFixed(2)} | ${limit} |`
  })
}

/** Bytes of a machine: the sums in the kernels, twice where they are of segments, and outside of them; in solving H and G, ordered. */
export const largestBytes = (): number => {
  const inputs = 11008
  return Math.max(3 * sumBytes(inputs), sumBytes(inputs) + 3 * 4 * inputs ** 2)
}
