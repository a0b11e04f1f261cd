/**
 * Captures: layers that read the same rows of the same tensors (q, k and v projections; gate and up) share one set of
 * samples, and so one H and one G. A capture's batches come out of the streams as views, ready for packing.
 */
import { GRID } from '../methods/alphabet.js'
import { preferCorrelation } from '../methods/convolution.js'
import type { LayerShape } from '../methods/plan.js'
import type { Recipe } from '../methods/recipe.js'
import { type Convolution, type Gather, paddedBytes, type SampleBatch } from '../methods/samples.js'
import type { PlannedLayer } from '../model/plan.js'
import type { Settings } from '../model/settings.js'
import type { LayerUse } from '../onnx/layer.js'
import { gatherFor } from './gather.js'
import { floatsOf } from './outputError.js'
import { checkSameShape, type Streams } from './streams.js'

export interface Capture {
  readonly layers: readonly PlannedLayer[]
  readonly uses: readonly LayerUse[]
}

export function groupByCapture(layers: readonly PlannedLayer[]): Capture[] {
  const captures = new Map<string, { layers: PlannedLayer[]; uses: readonly LayerUse[] }>()
  for (const planned of layers) {
    const { layer } = planned
    const reads = layer.uses.map(({ input, sampling }) => ({ input, sampling }))
    // Groups of a convolution have weights of their own shape each; sharing is for layers that see whole rows.
    const own = layer.groups > 1 || planned.planes > 1
    const key = JSON.stringify([reads, layer.inputs, layer.groups, own ? layer.name : ''])
    const known = captures.get(key)
    if (known === undefined) captures.set(key, { layers: [planned], uses: layer.uses })
    else known.layers.push(planned)
  }
  return [...captures.values()]
}

export interface CapturedSamples {
  readonly shape: LayerShape
  batches(): AsyncIterable<SampleBatch>
}

/** The samples of a capture as the streams hold them now. */
export function captureSamples(
  { layers, uses }: Capture,
  streams: Streams,
  { patches, randomPatches }: Pick<Settings, 'patches' | 'randomPatches'>,
  recipe: Recipe,
  searching: boolean,
): CapturedSamples {
  const { layer, planes } = layers[0]!
  const inputs = layer.inputs / planes
  const groups = layer.groups * planes
  const random = randomPatches === null ? null : { share: randomPatches, seed: recipe.seed ?? 0 }
  const same = !uses.some(({ input }) => streams.differs(input))
  const batchCount = streams.batches
  const images = Array.from({ length: batchCount }, (_, batch) => streams.dims(batch, uses[0]!.input)[0] ?? 1)
  const total = images.reduce((sum, count) => sum + count, 0)
  const perUse = patches === 0 ? 0 : Math.max(1, Math.floor(patches / uses.length))

  function gather(use: LayerUse, batch: number): Gather {
    return gatherFor({
      place: `layer '${layer.name}'`,
      sampling: use.sampling,
      dims: streams.dims(batch, use.input),
      inputs,
      groups,
      firstImage: images.slice(0, batch).reduce((sum, count) => sum + count, 0),
      images: total,
      patches: perUse,
      random,
    })
  }
  async function* batches(): AsyncIterable<SampleBatch> {
    const names = [...new Set(uses.map(({ input }) => input))]
    for (let batch = 0; batch < batchCount; batch++) {
      const tensors = await streams.tensors(batch, names)
      for (const use of uses) {
        const { float, quantized } = tensors.get(use.input)!
        if (quantized !== null)
          checkSameShape(`layer '${layer.name}', its input '${use.input}'`, float, quantized)
        const x = floatsOf(float)
        yield {
          x,
          xq: same ? null : quantized === null ? x : floatsOf(quantized),
          gather: gather(use, batch),
        }
      }
    }
  }

  let rows = 0
  let batchBytes = 0
  let batchPaddedBytes = 0
  let batchRows = 0
  const convolutions = new Map<string, Convolution | null>()
  for (const use of uses) {
    for (let batch = 0; batch < batchCount; batch++) {
      const plan = gather(use, batch)
      rows += plan.rows
      batchRows = Math.max(batchRows, plan.rows)
      const { convolution = null } = plan
      convolutions.set(JSON.stringify(convolution), convolution)
      batchPaddedBytes = Math.max(batchPaddedBytes, paddedBytes(plan))
      batchBytes = Math.max(
        batchBytes,
        4 * streams.dims(batch, use.input).reduce((product, dim) => product * dim, 1),
      )
    }
  }
  const shape: LayerShape = {
    samples: rows,
    inputs,
    neurons: Math.max(...layers.map((planned) => planned.layer.neurons)),
    groups,
    same,
    candidates: searching ? GRID.length : 1,
    blockSize: Math.min(...layers.map(({ blockSize }) => blockSize)),
    batchBytes,
    batchPaddedBytes,
    batchRows,
    recipe,
  }
  const [convolution = null, ...others] = convolutions.values()
  const correlates = convolution !== null && others.length === 0
  return {
    batches,
    shape: correlates ? preferCorrelation(shape, convolution) : shape,
  }
}

/** A layer that is quantized from its weights alone. */
export function shapeWithoutSamples({ layer, blockSize, planes }: PlannedLayer, recipe: Recipe): LayerShape {
  return {
    samples: 0,
    inputs: layer.inputs / planes,
    neurons: layer.neurons,
    groups: layer.groups * planes,
    same: true,
    candidates: 1,
    blockSize,
    batchBytes: 0,
    batchPaddedBytes: 0,
    batchRows: 0,
    recipe,
  }
}
