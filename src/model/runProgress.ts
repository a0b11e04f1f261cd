/** The progress of a run: events for the caller, and the time that each part takes. */
import { outputsOf } from '../onnx/layer.js'
import type { Stage } from '../onnx/stages.js'
import type { QuantizeReport, RunOptions } from '../options.js'
import { describeLayer, type LayerErrors } from './layerReport.js'
import type { PlannedModel } from './preparedModel.js'
import type { FinishedLayer } from './solveStage.js'

type Part = 'calibration' | 'quantization' | 'verify'

export interface RunProgress {
  begin(samples: number): void
  /** The survey of mixed precision is half of a run. */
  readonly survey: (fraction: number) => void
  /** The levels are chosen; the stages follow. */
  replan(planned: PlannedModel): void
  stage(index: number, fraction: number): void
  readonly layersStart: (capture: { readonly layers: readonly { readonly name: string }[] }) => void
  /** Reports the layers whose outputs a stage has computed. */
  measured(stage: Stage, layers: readonly FinishedLayer[], errors: LayerErrors): void
  /** Reports all layers that are not reported yet. */
  done(layers: readonly FinishedLayer[], errors: LayerErrors): void
  readonly timed: <T>(what: Part, act: () => Promise<T>) => Promise<T>
  seconds(): QuantizeReport['seconds']
}

/** @param start when the run began, by performance.now() */
export function createProgress(given: PlannedModel, { onProgress }: RunOptions, start: number): RunProgress {
  let planned = given
  let before = 0 // share of the run before the stages
  const load = (performance.now() - start) / 1000
  const seconds = { calibration: 0, quantization: 0, verify: 0 }
  const reported = new Set<string>()
  const { length: count } = given.layers

  const report = (layers: readonly FinishedLayer[], errors: LayerErrors): void => {
    for (const finished of layers) {
      const { name, index, bytesOut } = finished.planned
      if (reported.has(name)) continue
      reported.add(name)
      const layer = describeLayer(finished, errors, bytesOut)
      onProgress?.({ type: 'layer-done', index, layers: count, layer })
    }
  }
  return {
    begin: (samples) => onProgress?.({ type: 'plan', layers: count, samples }),
    survey: (fraction) =>
      onProgress?.({ type: 'progress', fraction: 0.5 * fraction, phase: 'trying 2 to 8 bits' }),
    replan(changed) {
      planned = changed
      before = 0.5
    },
    stage: (index, fraction) =>
      onProgress?.({
        type: 'progress',
        fraction: before + ((1 - before) * (index + fraction)) / planned.stages.length,
        phase: fraction < 0.4 ? 'running both networks' : 'choosing codes',
      }),
    layersStart({ layers }) {
      for (const { name } of layers) {
        const index = planned.byName.get(name)?.index ?? 0
        onProgress?.({ type: 'layer-start', index, layers: count, name })
      }
    },
    measured(stage, layers, errors) {
      const outputs = new Set(stage.measured)
      report(
        layers.filter(({ layer }) => outputsOf(layer).some((output) => outputs.has(output))),
        errors,
      )
    },
    done: report,
    async timed(what, act) {
      const from = performance.now()
      const result = await act()
      seconds[what] += (performance.now() - from) / 1000
      return result
    },
    seconds: () => ({ load, ...seconds, total: (performance.now() - start) / 1000 }),
  }
}
