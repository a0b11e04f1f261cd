/**
 * What each layer would lose at 2 to 8 bits: the float network runs once over the calibration data, and every layer is
 * quantized at all sizes from one H (Xq = X, for nothing before it is quantized). The errors come from H too; no network
 * is run with quantized weights. What the tensors' energies say of the way from layer to layer is noted in passing. What
 * mixed precision chooses from.
 */

import { captureSamples, groupByCapture } from '../calibration/captures.js'
import type { Runner } from '../calibration/runner.js'
import { type RunContext, Streams } from '../calibration/streams.js'
import { GpfqError } from '../errors.js'
import type { Executor } from '../executor/executor.js'
import { Correlations } from '../methods/correlations.js'
import { type PlannedLayer, type PreparedModel, solveRequest } from '../model/plan.js'
import type { Settings } from '../model/settings.js'
import type { Stage } from '../onnx/stages.js'
import type { Feeds } from '../tensor/tensor.js'
import { ErrorWeights } from './errorWeights.js'

/** Symmetric alphabets of 2 to 8 bits, most of them the largest that put as many digits into a word (formats/packed.ts). */
const LEVELS: readonly number[] = [3, 4, 5, 7, 9, 15, 21, 35, 73, 255]

/** The alphabets to choose from; zeros that are asked for need one that holds zero. */
export const surveyedLevels = ({ sparsity }: Pick<Settings, 'sparsity'>): readonly number[] =>
  sparsity === null ? LEVELS : LEVELS.filter((levels) => levels % 2 === 1)

/**
 * Squared relative output errors ‖XW − XQ‖² / ‖XW‖² of each layer at each of surveyedLevels, by layer name, weighted with how
 * much of them the layers behind get to see (errorWeights.ts).
 * @param stages of the model, as planned for quantizing it
 */
export async function surveyErrors(
  prepared: PreparedModel,
  executor: Executor,
  runner: Runner,
  batches: readonly Feeds[],
  stages: readonly Stage[],
  context: RunContext,
): Promise<ReadonlyMap<string, readonly number[]>> {
  const { model, graph, layers, settings } = prepared
  const byName = new Map(layers.map((planned) => [planned.layer.name, planned]))
  const surveyed = surveyedLevels(settings)
  const errorWeights = new ErrorWeights(graph)
  const floatStages = stages.map((stage) => floatOnly(stage, errorWeights.wanted(stage.nodes)))
  const streams = new Streams(runner, model, batches, floatStages)
  const errors = new Map<string, readonly number[]>()
  try {
    await streams.plan()
    for (const [index, stage] of streams.stages.entries()) {
      await streams.advance(({ tensor, float }) => errorWeights.add(tensor, float), {
        ...context,
        onProgress: () => {},
      })
      const planned = stage.quantize.map((layer) => byName.get(layer.name)!)
      for (const capture of groupByCapture(planned)) {
        const { shape, batches: samples } = captureSamples(
          capture,
          streams,
          settings,
          { ...settings, passes: 0 }, // they change errors little and their order hardly, but take most of the time
          settings.radius.rule === 'search',
        )
        const requests = capture.layers.flatMap((layer) =>
          surveyed.map((levels) => requestOf(prepared, layer, levels)),
        )
        const { solutions } = await executor.quantizeSamples({ ...shape, judged: true }, samples, requests, {
          signal: context.signal,
          place: capture.layers.map(({ layer }) => `layer '${layer.name}'`).join(', '),
          Correlations,
        })
        for (const [i, { layer }] of capture.layers.entries()) {
          const own = solutions.slice(i * surveyed.length, (i + 1) * surveyed.length)
          errors.set(
            layer.name,
            own.map(({ relativeError }) => known(relativeError, layer.name)),
          )
        }
      }
      await streams.release()
      context.onProgress((index + 1) / streams.stages.length)
    }
  } finally {
    await streams.close()
  }
  const weights = errorWeights.weights(layers.map(({ layer }) => layer))
  return new Map(
    [...errors].map(([name, relative]) => [name, relative.map((error) => weights.get(name)! * error ** 2)]),
  )
}

const requestOf = (prepared: PreparedModel, { layer }: PlannedLayer, levels: number) => ({
  ...solveRequest(prepared, layer, levels),
  judge: true,
})

/** The same stage without anything quantized before it; `measured` are tensors whose energy is wanted. */
const floatOnly = (stage: Stage, measured: readonly string[]): Stage => ({
  ...stage,
  changed: [],
  measured,
  replay: false,
})

function known(error: number | undefined, name: string): number {
  if (error !== undefined) return error
  throw new GpfqError('WORKER_FAILED', `layer '${name}': expected an error from H, got none`)
}
