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
const WIDTH = 4096
const CORES = 16
const SEGMENTS = 16
const MACHINES = [1, 4, 16, 64] as const
/** Bytes a second that the store takes and gives: 10 Gbit/s. */
const STORE = 1.25e9
/** The stages of a block. */
const STAGES = [
  { name: 'q, k, v', inputs: WIDTH, neurons: 3 * WIDTH },
  { name: 'o', inputs: WIDTH, neurons: WIDTH },
  { name: 'gate, up', inputs: WIDTH, neurons: 2 * 11008 },
  { name: 'down', inputs: 11008, neurons: WIDTH },
] as const
type Shape = Pick<(typeof STAGES)[number], 'inputs' | 'neurons'>

/** H, lower triangle, and all of G. */
const sumBytes = (inputs: number): number => 4 * 1.5 * inputs ** 2

/** Seconds of a stage, and bytes that the store moves. */
interface Cost {
  readonly networks: number
  readonly sums: number
  readonly solving: number
  readonly store: number
  readonly bytes: number
}

function costOf({ inputs, neurons }: Shape, { observe, solve }: Rates, machines: number): Cost {
  // Parts are whole segments, so that more than 16 machines do not help with the samples.
  const parts = Math.min(machines, SEGMENTS)
  // The first part is one sum; each later one keeps that of every segment.
  const kept = parts === 1 ? 1 : 1 + SEGMENTS - SEGMENTS / parts
  // On one machine; more of them solve until H and G take longer to travel to one more (src/cluster/spreadSolve.ts).
  const alone = (inputs ** 2 * neurons * (GRID.length + 2)) / (solve * CORES)
  const solvers = Math.min(machines, Math.max(1, Math.round(Math.sqrt((alone * STORE) / sumBytes(inputs)))))
  // In and out: parts to the coordinator, and the merged sums to the machines that solve.
  const bytes = machines === 1 ? 0 : sumBytes(inputs) * (2 * kept + 1 + solvers)
  return {
    // Both networks. ONNX Runtime multiplies as fast as the kernels.
    networks: (2 * ROWS * inputs * neurons) / (observe * CORES * parts),
    sums: (ROWS * 1.5 * inputs ** 2) / (observe * CORES * parts),
    solving: alone / solvers,
    store: bytes / STORE,
    bytes,
  }
}

const secondsOf = ({ networks, sums, solving, store }: Cost): number => networks + sums + solving + store

/**
 * Bytes of a machine in the largest stage: the whole model; tensors of its samples, the layer's input and the residual stream, in both
 * networks; and sums, in the kernels, twice where they are of segments, and outside of them, or in solving H and G, ordered.
 */
function memoryOf(machines: number): number {
  const model = BLOCKS * STAGES.reduce((sum, { inputs, neurons }) => sum + 4 * inputs * neurons, 0)
  const stages = STAGES.map(({ inputs }) => {
    const tensors = (2 * 4 * ROWS * (inputs + WIDTH)) / Math.min(machines, SEGMENTS)
    return tensors + Math.max(3 * sumBytes(inputs), sumBytes(inputs) + 3 * 4 * inputs ** 2)
  })
  return model + Math.max(...stages)
}

/** @returns the rows of the table of the whole network: one a number of machines */
export const forecast = (rates: Rates): readonly string[] =>
  MACHINES.map((machines) => {
    const costs = STAGES.map((stage) => costOf(stage, rates, machines))
    const all = (key: keyof Cost): number => BLOCKS * costs.reduce((sum, cost) => sum + cost[key], 0)
    const parts = (['networks', 'sums', 'solving', 'store'] as const).map((key) => [key, all(key)] as const)
    const total = parts.reduce((sum, [, seconds]) => sum + seconds, 0)
    const hours = [...parts.map(([, seconds]) => seconds), total].map((seconds) =>
      (seconds / 3600).toFixed(2),
    )
    const [limit] = parts.reduce((a, b) => (b[1] > a[1] ? b : a))
    const [moved, memory] = [all('bytes') / 1e12, memoryOf(machines) / 1e9]
    return `| ${machines} | ${hours.join(' | ')} | ${moved.toFixed(2)} | ${memory.toFixed(0)} | ${limit} |`
  })

/** @returns the rows of the table of one block: one a stage, seconds and GB by the number of machines */
export const forecastStages = (rates: Rates): readonly string[] =>
  STAGES.map(({ name, ...shape }) => {
    const costs = MACHINES.map((machines) => costOf(shape, rates, machines))
    const cells = costs.map((cost) => `${secondsOf(cost).toFixed(1)} s, ${(cost.bytes / 1e9).toFixed(1)} GB`)
    return `| ${name}: ${shape.inputs} × ${shape.neurons} | ${cells.join(' | ')} |`
  })
