/** The distribution of a layer's multiply-adds over the phases of its jobs, by the formulas of docs/METHODS.md. */
import { tilesOfPhase } from '#src/engine/job.js'
import type { Recording, Shape } from './recording.js'

export interface PhaseWork {
  readonly kernel: string
  readonly tiles: number
  /** Multiply-adds. */
  readonly work: number
}

/** Phases that compute. Packing is not counted, because it only moves data. */
export function phaseWork(shape: Shape, { panels, neuronPanels, jobs }: Recording): PhaseWork[] {
  const { samples: m, groups, candidates, streamsEqual } = shape
  const n = 8 * panels
  const k = 8 * neuronPanels
  const search = candidates > 1
  const triangle = (n * n) / 2
  const phases = jobs.flat().map((phase) => ({ kernel: phase[0]?.kernel ?? '', tiles: tilesOfPhase(phase) }))
  const sums = phases.filter(({ kernel }) => kernel === 'gram').length
  const each: Record<string, number> = {
    gram: (m * triangle * (streamsEqual ? 1 : search ? 3 : 2)) / sums,
    project: triangle * k * (search ? 2 : 1),
    substitute: triangle * k,
  }
  // The first substitution of a search is that of all candidates.
  const scored = search ? phases.findIndex(({ kernel }) => kernel === 'substitute') : -1
  return phases.flatMap(({ kernel, tiles }, i) => {
    const own = each[kernel]
    return own === undefined ? [] : [{ kernel, tiles, work: groups * own * (i === scored ? candidates : 1) }]
  })
}

/** Share of the thread-seconds with work, if the equal tiles of each phase are distributed in rounds. */
export function busyShare(phases: readonly PhaseWork[], threads: number): number {
  const total = phases.reduce((sum, { work }) => sum + work, 0)
  const wall = phases.reduce((sum, { work, tiles }) => sum + (work * Math.ceil(tiles / threads)) / tiles, 0)
  return total / (threads * wall)
}
