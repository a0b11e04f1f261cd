/** How a layer's multiply-adds are spread over the phases that the engine is asked for, by the formulas of docs/METHODS.md. */
import { tilesOfPhase } from '#src/engine/job.js'
import type { LayerShape } from '#src/methods/plan.js'
import type { Recording } from './recording.js'

export interface PhaseWork {
  readonly kernel: string
  readonly tiles: number
  /** Multiply-adds. */
  readonly work: number
}

/** Phases that compute; packing only moves. */
export function phaseWork(shape: LayerShape, { plan, jobs }: Recording): PhaseWork[] {
  const { samples: m, groups, candidates, same } = shape
  const n = 8 * plan.panels
  const k = 8 * plan.neuronPanels
  const block = 8 * plan.edge
  const streams = same ? 1 : 2
  const search = candidates > 1
  const triangle = (n * n) / 2
  const phases = jobs.flat().map((phase) => ({ kernel: phase[0]?.kernel ?? '', tiles: tilesOfPhase(phase) }))
  const sums = phases.filter(({ kernel }) => kernel === 'gram').length
  const each: Record<string, number> =
    plan.form === 'gram'
      ? {
          gram: (m * triangle * (search && !same ? 3 : streams)) / sums,
          project: triangle * k * (search ? 2 : 1),
          substitute: triangle * k,
        }
      : {
          gram: (m * n * block * streams) / 2,
          advance: m * block * k * (streams + 1),
          settle: (k * block * block * streams) / 2 + Math.ceil(m / 256) * block * k,
        }
  // The first substitution of a search is that of all candidates.
  const scored = search ? phases.findIndex(({ kernel }) => kernel === 'substitute') : -1
  return phases.flatMap(({ kernel, tiles }, i) => {
    const own = each[kernel]
    return own === undefined ? [] : [{ kernel, tiles, work: groups * own * (i === scored ? candidates : 1) }]
  })
}

/** Share of the thread-seconds that find work, if equal tiles of each phase are dealt out in rounds. */
export function busyShare(phases: readonly PhaseWork[], threads: number): number {
  const total = phases.reduce((sum, { work }) => sum + work, 0)
  const wall = phases.reduce((sum, { work, tiles }) => sum + (work * Math.ceil(tiles / threads)) / tiles, 0)
  return total / (threads * wall)
}
