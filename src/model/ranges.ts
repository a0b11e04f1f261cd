/** Ranges of a stage's activations: what is counted of each tensor, and the quantizers that follow once all shards are merged. */
import {
  type ChannelWeights,
  countRange,
  needsCounts,
  quantizerFor,
  type RangeCounter,
} from '../calibration/ranges.js'
import type { ActivationQuantizers } from '../onnx/activations/integers.js'
import { readWeights } from '../onnx/layers.js'
import type { PlannedLayer, PlannedModel } from './preparedModel.js'
import type { Settings } from './settings.js'
import type { StageObservations } from './stageObservations.js'

/** A counter for each tensor. */
export function rangeCounters(
  planned: PlannedModel,
  tensors: readonly string[],
): ReadonlyMap<string, RangeCounter> {
  const { activations } = planned.plan.settings
  if (activations === null) return new Map()
  const { ranges } = activations
  return new Map(
    tensors.map((tensor) => {
      const channels = ranges.rule === 'search' ? channelWeights(planned, tensor) : null
      return [tensor, countRange(`tensor '${tensor}'`, needsCounts(ranges), channels)]
    }),
  )
}

/** The quantizers of a stage's tensors from the ranges of all samples. */
export function fixRanges({ activations }: Settings, { ranges }: StageObservations): ActivationQuantizers {
  if (activations === null) return new Map()
  return new Map([...ranges].map(([tensor, sums]) => [tensor, quantizerFor(sums, activations.ranges)]))
}

/** The largest weight of a channel: fine enough to tell channels apart, and sums of counts stay exact. */
const LARGEST_WEIGHT = 4096

/**
 * How much an error in each channel of a tensor matters to the layers on integers that read it: the sum of the squared weights
 * of the channel. Null where no such layer reads it.
 */
function channelWeights({ graph, layers }: PlannedModel, tensor: string): ChannelWeights | null {
  const readers = layers.filter(
    ({ ranges, layer }) => ranges === 'static' && layer.uses.some(({ input }) => input === tensor),
  )
  const energies = readers.map((planned) => channelEnergies(readWeights(graph, planned.layer), planned))
  const [first] = energies
  const kinds = new Set(readers.map(({ layer }) => layer.uses[0]!.sampling.kind))
  if (first === undefined || kinds.size > 1 || kinds.has('columns')) return null
  if (energies.some(({ length }) => length !== first.length)) return null
  const sums = first.map((_, channel) => energies.reduce((sum, own) => sum + own[channel]!, 0))
  const most = Math.max(...sums)
  return {
    weights: sums.map((sum) => Math.max(1, Math.round((LARGEST_WEIGHT * sum) / (most || 1)))),
    axis: kinds.has('patches') ? 1 : -1,
  }
}

/** Sums of squared weights by channel of the input. @param weights (groups, inputs, neurons) */
function channelEnergies(weights: Float32Array, { layer }: PlannedLayer): Float64Array {
  const { groups, inputs, neurons, uses } = layer
  const sampling = uses[0]!.sampling
  const taps = sampling.kind === 'patches' ? sampling.kernel[0] * sampling.kernel[1] : 1
  const sums = new Float64Array((groups * inputs) / taps)
  for (const [i, weight] of weights.entries()) {
    const channel = Math.floor(i / (neurons * taps))
    sums[channel] = sums[channel]! + weight * weight
  }
  return sums
}
