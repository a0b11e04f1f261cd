/**
 * The memory of the kernels that a layer takes, from its shape, its method and its options: known before anything runs. A
 * layer whose weights do not fit at once is solved in ranges of its neurons, on the same H and G and so to the same codes.
 * One whose H and G do not fit is refused, with the way out that helps, for which the same arithmetic is done.
 */
import { GpfqError } from '../errors.js'
import { HINTS, type HintName } from '../hints.js'
import { GRID, type WeightShape } from '../methods/alphabet.js'
import { planFrame } from '../methods/frame.js'
import { type Layout, largestOf, layOut } from '../methods/layout.js'
import { planMeasure } from '../methods/measure.js'
import { GPFQ } from '../methods/recipe.js'
import { planSamples } from '../methods/samplePlan.js'
import { needsOf, needsWholeG } from '../methods/solve.js'
import { columnNeeds, planSolve } from '../methods/solvePlan.js'
import type { GraphIndex } from '../onnx/graph.js'
import type { Layer } from '../onnx/layer.js'
import { nodesOf } from '../onnx/stageCuts.js'
import type { ModelPlan, PlanLayer } from '../options.js'
import { PANEL, panelsOf } from '../wasm/kernels.js'
import { isGuarded } from './guard.js'
import { mostKernelBytes } from './memoryBudget.js'
import { roundedSettings } from './requests.js'
import type { Settings } from './settings.js'

/** What the memory of a layer follows from, besides the settings. */
export type MeasuredLayer = Pick<
  PlanLayer,
  'name' | 'groups' | 'inputs' | 'neurons' | 'planes' | 'blockSize'
> & {
  /** Xq = X: nothing before the layer is quantized. */
  readonly streamsEqual: boolean
}

/** Memory of a layer, and how many ranges its neurons are solved in. */
export interface LayerMemory {
  readonly bytes: number
  readonly parts: number
}

/** The samples from which on the sums of a segment are kept beside those of all (samplePlan.ts, captures.ts). */
const SEGMENTED_SAMPLES = 4096

/**
 * What a layer takes at least, in as few ranges of neurons as fit.
 * @param samples of the calibration; 1 where that is not known
 * @param most bytes that there are
 * @throws GpfqError OUT_OF_MEMORY where the layer does not fit
 */
export function layerMemory(
  layer: MeasuredLayer,
  settings: Settings,
  samples: number,
  most: number,
): LayerMemory {
  const found = fitted(layer, settings, samples, most)
  if ('parts' in found) return found
  const { bytes } = found
  const more = 'parts' in fitted(layer, settings, samples, mostKernelBytes(null, 0))
  const [way] = WAYS_OUT.filter(([, change]) => {
    const changed = change(settings, samples)
    return changed !== null && 'parts' in fitted(layer, changed.settings, changed.samples, most)
  })
  throw new GpfqError('OUT_OF_MEMORY', {
    place: `layer '${layer.name}'`,
    problem:
      `its ${layer.inputs} inputs need ${mebibytes(bytes)} MiB of the kernels' memory (most of it ${largestOf(found)}), ` +
      `of ${mebibytes(most)} MiB that there are`,
    hint: HINTS[more ? 'more-memory' : (way?.[0] ?? 'exclude-layer')],
  })
}

const mebibytes = (bytes: number): number => Math.ceil(bytes / 2 ** 20)

/** A change of settings or samples, by the hint that names it; null where it would change nothing. */
type WayOut = readonly [HintName, (settings: Settings, samples: number) => Changed | null]
interface Changed {
  readonly settings: Settings
  readonly samples: number
}

const FEWER = SEGMENTED_SAMPLES - 1
const RADIUS_MAX = { radius: { rule: 'max' }, actOrder: false } as const

/** Changes that need less memory, the smallest change first. */
const WAYS_OUT: readonly WayOut[] = [
  ['fewer-samples', (settings, samples) => (samples > FEWER ? { settings, samples: FEWER } : null)],
  ['scale-per-neuron', (settings, samples) => ({ settings: { ...settings, scalePer: 'neuron' }, samples })],
  ['radius-max', (settings, samples) => ({ settings: { ...settings, ...RADIUS_MAX }, samples })],
  ['plain-path', (settings, samples) => ({ settings: { ...settings, ...GPFQ, ...RADIUS_MAX }, samples })],
  [
    'plain-path-fewer-samples',
    (settings, samples) =>
      samples > FEWER ? { settings: { ...settings, ...GPFQ, ...RADIUS_MAX }, samples: FEWER } : null,
  ],
  [
    'plain-rounding',
    (settings, samples) => ({ settings: { ...settings, ...GPFQ, ...RADIUS_MAX, method: 'msq' }, samples }),
  ],
]

/** The memory of a layer that fits, or the layout that does not. */
function fitted(
  layer: MeasuredLayer,
  settings: Settings,
  samples: number,
  most: number,
): LayerMemory | Layout {
  const whole = wholeLayouts(layer, settings, samples).sort((a, b) => b.bytes - a.bytes)[0]
  if (whole !== undefined && whole.bytes > most) return whole
  const before = whole?.bytes ?? 0
  const panels = panelsOf(layer.neurons)
  for (let parts = 1; ; parts *= 2) {
    const neurons = Math.min(layer.neurons, PANEL * Math.ceil(panels / parts))
    const solved = solving({ ...layer, neurons }, settings)
    const bytes = Math.max(before, solved.bytes)
    if (bytes <= most) return { bytes, parts: Math.ceil(layer.neurons / neurons) }
    if (neurons <= PANEL || !inRanges(settings)) return solved
  }
}

/** Whether a range of neurons gets the codes that it has in the whole layer (solve.ts). */
const inRanges = ({ method, sparsity, radius, scalePer }: Settings): boolean =>
  method !== 'spfq' && sparsity?.rule !== 'target' && !(radius.rule === 'search' && scalePer === 'layer')

const isSearching = ({ radius }: Settings): boolean => radius.rule === 'search'

/** The layer as the methods see it: each channel of a path of its own is a group. */
const shapeOf = ({ groups, inputs, neurons, planes }: Omit<MeasuredLayer, 'streamsEqual'>): WeightShape => ({
  groups: groups * planes,
  inputs: inputs / planes,
  neurons,
})

/** What is not cut into ranges: sums over samples, the error on samples that are kept out, and what mixed precision solves with Xq = X and with errors. */
function wholeLayouts(layer: MeasuredLayer, settings: Settings, samples: number): Layout[] {
  const observed = needsOf(settings, isSearching(settings)) === 'gram'
  const alone = { ...layer, streamsEqual: true }
  const judged = settings.holdout !== 0 && isGuarded(settings) && isJudgeable(layer)
  return [
    ...(observed ? [observing(layer, settings, samples)] : []),
    ...(judged ? [judging(layer)] : []),
    ...(settings.targetSize === null && settings.targetBits === null
      ? []
      : [observing(alone, settings, samples), gramLayout(alone, { ...settings, passes: 0 }, true)]),
  ]
}

/** The error of the layer on samples that are kept out of calibration (guard.ts), without their batches. */
function judging(layer: Omit<MeasuredLayer, 'streamsEqual'>): Layout {
  const { groups, inputs, neurons } = shapeOf(layer)
  const samples = { rows: 1, streamsEqual: false, batchBytes: 0, batchPaddedBytes: 0, batchRows: 0 }
  return planMeasure({ ...samples, groups, inputs }, neurons, Math.ceil(inputs / layer.blockSize), 1)
}

/**
 * Whether the error of a layer can be measured at all: of a row it needs all neurons at once. A limit of memory does not
 * change that, because it must not change the result.
 */
export const isJudgeable = (layer: Omit<MeasuredLayer, 'streamsEqual'>): boolean =>
  judging(layer).bytes <= mostKernelBytes(null, 0)

/** Sums over samples, without their batches. */
function observing(layer: MeasuredLayer, settings: Settings, samples: number): Layout {
  const { groups, inputs } = shapeOf(layer)
  return planSamples({
    ...{ groups, inputs, streamsEqual: layer.streamsEqual, means: settings.biasCorrection },
    wholeG: needsWholeG(settings, isSearching(settings)),
    // Segments beyond 256 rows are summed apart; of fewer samples none is known to be as long.
    rows: samples < SEGMENTED_SAMPLES ? 1 : samples,
    segmentRows: samples < SEGMENTED_SAMPLES ? 1 : SEGMENTED_SAMPLES / 8,
    ...{ batchBytes: 0, batchPaddedBytes: 0, batchRows: 0 },
  }).layout
}

/** What solving takes, with the scratch of one thread. */
function solving(layer: MeasuredLayer, settings: Settings): Layout {
  if (needsOf(settings, isSearching(settings)) === 'gram') return gramLayout(layer, settings, false)
  const shape = shapeOf(layer)
  return settings.redundancy === null
    ? layOut(columnNeeds(shape, Math.ceil(shape.inputs / layer.blockSize)))
    : planFrame(shape, settings.redundancy, 1)
}

function gramLayout(layer: MeasuredLayer, settings: Settings, withErrors: boolean): Layout {
  const shape = shapeOf(layer)
  const { streamsEqual, blockSize } = layer
  return planSolve(
    {
      ...{ ...shape, streamsEqual, withErrors, recipe: settings },
      blockSize: Math.min(shape.inputs, blockSize),
      candidates: isSearching(settings) ? GRID.length : 1,
      pixelBytes: 0,
    },
    1,
  ).layout
}

/**
 * What each layer takes, by name.
 * @param ranged tensors with a range of their own
 * @param samples of the calibration; 1 where that is not known
 * @throws GpfqError OUT_OF_MEMORY for the first layer that does not fit
 */
export function layerMemories(
  graph: GraphIndex,
  layers: readonly Layer[],
  planned: (layer: Layer) => Omit<MeasuredLayer, 'streamsEqual'> & Pick<PlanLayer, 'ranges'>,
  ranged: readonly string[],
  { settings, bytesIn }: Pick<ModelPlan, 'settings' | 'bytesIn'>,
  samples: number,
): ReadonlyMap<string, LayerMemory> {
  const most = mostKernelBytes(settings.memory, bytesIn)
  const differing = differingTensors(graph, layers, ranged)
  return new Map(
    layers.map((layer) => {
      const own = planned(layer)
      const streamsEqual = own.ranges === null && !layer.uses.some(({ input }) => differing.has(input))
      const used = layer.rounded === null ? settings : roundedSettings(settings)
      return [layer.name, layerMemory({ ...own, streamsEqual }, used, samples, most)]
    }),
  )
}

/**
 * Tensors that can differ between the float and the quantized network: what layers make, what is rounded to 8 bits, and
 * what follows from them.
 * @param ranged tensors with a range of their own
 */
export function differingTensors(
  graph: GraphIndex,
  layers: readonly Layer[],
  ranged: readonly string[],
): ReadonlySet<string> {
  const made = layers.flatMap((layer) => nodesOf(graph, layer).flatMap((node) => graph.nodes[node]!.output))
  const differing = new Set([...ranged, ...made])
  for (const node of graph.order) {
    if (!graph.reads(node).some((tensor) => differing.has(tensor))) continue
    for (const output of graph.nodes[node]!.output) differing.add(output)
  }
  return differing
}
