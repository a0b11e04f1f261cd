/**
 * Memoryless scalar quantization (MSQ): every weight to its nearest value. It looks at no samples, but for the vertex walk
 * of 2209.03487 (`preprocess`): the walk first moves all but at most as many weights of a neuron as there are samples to the
 * ends of its alphabet, where rounding costs nothing, without changing the neuron's outputs on Xq. It needs fewer samples
 * than inputs; in float64, N·2m² multiply-adds a neuron. When: a wide layer and very few samples; with many, path following
 * loses less. Mathematics: assembly/vertex.ts; float64 twin: reference/vertexWalk.ts.
 */
import type { Phase } from '../engine/job.js'
import type { Pointer } from '../wasm/arena.js'
import { BLOCK, PANEL_BYTES, panelsOf, round } from '../wasm/kernels.js'
import { vertexScratch, vertexWalk } from '../wasm/methodKernels.js'
import { Columns, packRows } from './columns.js'
import type { Engine } from './engine.js'
import { allocate, layOut, type Regions } from './layout.js'
import type { Observations } from './observations.js'
import { type SolveRequest, widestOf } from './solution.js'
import type { Solver } from './solve.js'
import { columnNeeds } from './solvePlan.js'

/** @param observations of kind rows for the vertex walk; null for plain rounding */
export function solveByRounding(
  engine: Engine,
  observations: Observations | null,
  requests: readonly SolveRequest[],
): Solver {
  const widest = widestOf(requests)
  const { groups, inputs } = widest
  const blocks = Math.max(1, ...requests.map(({ scales }) => scales.blocks))
  const rows = observations?.rows ?? 0
  const layout = layOut({
    ...columnNeeds(widest, blocks),
    ...(observations === null
      ? {}
      : {
          'samples as given': 4 * rows * groups * inputs,
          'offsets of samples': 4 * (rows + inputs),
          'packed samples': (Math.floor(rows / BLOCK) + 1) * groups * panelsOf(inputs) * PANEL_BYTES,
          'walk scratch': engine.pool.threads * vertexScratch(rows, inputs),
        }),
  })
  const regions = allocate(engine.arena, layout)
  const columns = new Columns(engine.arena, regions, inputs)
  return {
    async solve(request, options) {
      const { shape, scales } = request
      columns.setScales(request)
      const own = columns.of(request)
      const walked: Phase[] =
        observations === null ? [] : walk(engine, regions, observations, own, shape.neurons)
      await engine.pool.run([columns.load(request), ...walked, [round(own)]], options)
      return { codes: columns.readCodes(shape), scales: scales.values }
    },
  }
}

/** Packs the samples and moves the weights. */
function walk(
  { arena }: Engine,
  regions: Regions,
  { rows, shape: { inputs, groups }, sums }: Observations,
  columns: ReturnType<Columns['of']>,
  neurons: number,
): Phase[] {
  const values = sums[0]?.values ?? new Float32Array(0)
  const source = regions.at('samples as given')
  const x: Pointer = regions.at('packed samples')
  arena.floats(source, values.length).set(values)
  const packed = packRows(arena, {
    ...{ source, offsets: regions.at('offsets of samples'), rows, columns: inputs, groups, panels: x },
    rowBytes: 4 * groups * inputs,
    groupBytes: 4 * inputs,
    panelBytes: PANEL_BYTES,
  })
  return [packed, [vertexWalk({ ...columns, x, scratch: regions.at('walk scratch'), rows, neurons })]]
}
