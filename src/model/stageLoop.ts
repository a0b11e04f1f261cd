/**
 * The loop over the stages of a plan: run both networks, fix ranges, solve, go on with the network that has the solutions.
 * What a stage does stands behind `StageSteps`: values go in and values come out, and a network says all that was decided
 * before. So another implementation can take solutions from a store, or compute them on other machines.
 */
import type { Note } from '../notes.js'
import type { Network } from '../onnx/network.js'
import type { LayerErrors } from './layerReport.js'
import type { PlannedModel } from './preparedModel.js'
import { fixRanges } from './ranges.js'
import type { RunProgress } from './runProgress.js'
import type { FinishedLayer, SolvedStage } from './solveStage.js'
import { NOTHING_SEEN, type StageObservations } from './stageObservations.js'

/**
 * The steps of a run. The loop calls `round` once, and then for each stage in order `advance`, `fix`, `solve` and `end`, one
 * after another. Stages are numbered from 0, as in PlannedModel.stages.
 */
export interface StageSteps {
  /** Solves the layers that are rounded whatever the samples say: all later layers are quantized on what these give. */
  round(): Promise<SolvedStage>
  /**
   * Runs both networks on all samples up to the layers of a stage.
   * @param network has the solutions of all stages before
   * @returns errors of layers solved before, and ranges of the stage's tensors; no captures
   */
  advance(stage: number, network: Network): Promise<StageObservations>
  /** The ranges of the stage are fixed: its tensors are read rounded from here on. @param network has the quantizers, too */
  fix(stage: number, network: Network): Promise<void>
  /**
   * Chooses the codes of a stage's layers from H and G of all samples.
   * @param network as in `fix`
   * @throws GpfqError INVALID_DATA, OUT_OF_MEMORY, RUNTIME_FAILED, WORKER_FAILED; the signal's reason
   */
  solve(stage: number, network: Network): Promise<SolvedStage>
  /** The stage is done. @param network has its solutions, too */
  end(stage: number, network: Network): Promise<void>
}

/** The network with all layers solved, and what is known of each. */
export interface SolvedModel {
  readonly network: Network
  readonly layers: readonly FinishedLayer[]
  readonly errors: LayerErrors
  readonly notes: readonly Note[]
}

export async function runStages(
  planned: PlannedModel,
  steps: StageSteps,
  progress: Pick<RunProgress, 'measured' | 'done'>,
): Promise<SolvedModel> {
  const rounded = await steps.round()
  const layers = [...rounded.layers]
  const notes = [...rounded.notes]
  let network = planned.float.with(rounded.layers)
  let errors: LayerErrors = NOTHING_SEEN
  for (const [index, stage] of planned.stages.entries()) {
    const advanced = await steps.advance(index, network)
    errors = {
      errors: errors.errors.with(advanced.errors),
      heldOutErrors: errors.heldOutErrors.with(advanced.heldOutErrors),
    }
    progress.measured(stage, layers, errors)
    network = network.with([], fixRanges(planned.plan.settings, advanced))
    await steps.fix(index, network)
    const solved = await steps.solve(index, network)
    network = network.with(solved.layers)
    layers.push(...solved.layers)
    notes.push(...solved.notes)
    await steps.end(index, network)
  }
  progress.done(layers, errors)
  return { network, layers, errors, notes }
}
