/**
 * The exact output error of a solution on samples, ‖XW − XqQ‖ / ‖XW‖, by running W and Q over them. It costs about as much
 * as two passes of the layer. Sums are float64 and add up over samples.
 */
import type { Phase } from '../engine/job.js'
import type { RunOptions } from '../engine/pool.js'
import * as kernels from '../wasm/kernels.js'
import { Columns, toPanels } from './columns.js'
import type { Engine } from './engine.js'
import { allocate, type Layout, layOut } from './layout.js'
import type { Batches } from './observeOptions.js'
import { Packer } from './packing.js'
import { named, notFinite } from './sampleChecks.js'
import { blockBytesOf, pieceBlocksOf, type SampleShape, staging } from './samplePlan.js'
import type { LayerSolution, SolveRequest } from './solution.js'
import { columnNeeds } from './solvePlan.js'

/** Sums of squares over samples and neurons: of the float network's outputs, and of the difference. */
export interface OutputSums {
  readonly signal2: number
  readonly error2: number
}

export interface MeasureOptions extends RunOptions {
  /** Every row counts alike: `error2` is the sum of ‖e‖/‖y‖ of a row, at most 1 each, and `signal2` the number of rows. */
  readonly byRow?: boolean
  /** Share of the rows that are measured, 0..1. */
  readonly onProgress?: ((fraction: number) => void) | undefined
  readonly place: string
}

/** The relative error; infinite if only the quantized layer gives outputs other than zero. */
export const relativeErrorOf = ({ signal2, error2 }: OutputSums): number =>
  error2 > 0 ? Math.sqrt(error2 / signal2) : error2

type MeasuredShape = Pick<
  SampleShape,
  'rows' | 'inputs' | 'groups' | 'streamsEqual' | 'batchBytes' | 'batchPaddedBytes' | 'batchRows'
>

/** @throws GpfqError OUT_OF_MEMORY */
export function planMeasure(
  shape: MeasuredShape,
  neurons: number,
  scaleBlocks: number,
  threads: number,
): Layout {
  const { groups, inputs } = shape
  const columns = groups * kernels.panelsOf(neurons)
  const blocks = pieceBlocksOf(shape)
  return layOut({
    ...staging(shape),
    'packed samples': blocks * blockBytesOf(shape),
    ...columnNeeds({ groups, inputs, neurons }, scaleBlocks),
    '−Q': columns * kernels.panelsOf(inputs) * 256, // [group][neuron panel][8·panels][8]
    // [resident block][group][neuron panel][2][8] float64, or by rows [resident block][8][2]
    'sums of errors': blocks * columns * 128,
    'error scratch': threads * kernels.ERROR_SCRATCH,
  })
}

/** @throws GpfqError INVALID_DATA for samples that are not finite, OUT_OF_MEMORY, WORKER_FAILED; the signal's reason */
export async function measure(
  engine: Engine,
  shape: MeasuredShape,
  batches: Batches,
  request: SolveRequest,
  solution: LayerSolution,
  options: MeasureOptions,
): Promise<OutputSums> {
  const { arena, pool } = engine
  const { place, onProgress, byRow = false } = options
  const { groups, neurons } = request.shape
  const mark = arena.mark()
  let packer: Packer | undefined
  try {
    const regions = named(place, () =>
      allocate(arena, planMeasure(shape, neurons, request.scales.blocks, pool.threads)),
    )
    const columns = new Columns(arena, regions, shape.inputs)
    const negated = regions.at('−Q')
    await loadSolution(engine, columns, negated, regions.bytes('−Q'), request, solution, options)
    const own = new Packer(engine, shape, regions, pieceBlocksOf(shape))
    packer = own
    const neuronPanels = kernels.panelsOf(neurons)
    const out = regions.at('sums of errors')
    const sums = (): Float64Array => arena.doubles(out, regions.bytes('sums of errors') / 8)
    sums().fill(0)
    const errors = byRow ? kernels.rowErrors : kernels.outputError
    const accumulate = (rows: number): Phase[] => [
      [
        errors({
          ...{ x: own.x, xq: own.xq, w: columns.weights, n: negated, rows, groups, neuronPanels, neurons },
          out,
          scratch: regions.at('error scratch'),
          panels: kernels.panelsOf(shape.inputs),
        }),
      ],
    ]
    let done = 0
    for await (const batch of batches) {
      await own.add(batch, accumulate, options)
      done += batch.gather.rows
      onProgress?.(done / shape.rows)
    }
    await own.idle(own.rows > 0 ? accumulate(own.rows) : [], options)
    const found = byRow ? totals(sums(), 1, 1) : totals(sums(), 8, neurons)
    if (Number.isFinite(found.signal2 + found.error2)) return found
    throw notFinite(place)
  } finally {
    await packer?.idle().catch(() => {})
    arena.release(mark)
  }
}

/** Puts the weights and the negated quantized values into panels. */
async function loadSolution(
  { arena, pool }: Engine,
  columns: Columns,
  negated: number,
  bytes: number,
  request: SolveRequest,
  solution: LayerSolution,
  options: RunOptions,
): Promise<void> {
  const { shape } = request
  const load = columns.load(request)
  if (solution.values !== undefined) {
    await pool.run([load], options)
    const panels = arena.floats(negated, bytes / 4)
    panels.fill(0)
    const held = kernels.panelsOf(shape.inputs) * kernels.PANEL
    toPanels(
      solution.values.map((value) => -value),
      shape,
      held,
      panels,
    )
    return
  }
  columns.setScales(request, solution.scales)
  columns.writeCodes(shape, solution.codes)
  await pool.run([load, [kernels.dequantize({ ...columns.of(request), negated })]], options)
}

/**
 * The totals of [cell][2][lanes]: those of the lanes that are neurons, because the padding of the last panel has codes too.
 * @param neurons of a group, whose panels follow one another
 */
function totals(sums: Float64Array, lanes: number, neurons: number): OutputSums {
  const panels = Math.ceil(neurons / lanes)
  let signal2 = 0
  let error2 = 0
  for (let i = 0; i < sums.length; i += 2 * lanes) {
    const panel = (i / 2 / lanes) % panels
    const own = Math.min(lanes, neurons - lanes * panel)
    for (let k = 0; k < own; k++) {
      signal2 += sums[i + k]!
      error2 += sums[i + lanes + k]!
    }
  }
  return { signal2, error2 }
}
