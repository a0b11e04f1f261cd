/**
 * A run that can be continued. After each stage its solutions are in a store. The same run again takes finished stages from there:
 * both networks run forward through them, without observing and solving, so that the result is byte for byte that of a run
 * without interruption. Every file names the run that it is of, by a digest of all that the result depends on.
 *
 *     run.json                  what the run depends on, each by itself (identity.ts)
 *     plan.json                 the plan
 *     survey.gpfq               mixed precision: the error of each layer at each size
 *     layers/0003-conv1.gpfq    a solved layer (layerFile.ts), by its place in the plan
 *     layers/0003-conv1.json    its report, once its error is known
 *     report.json               the report, once the run is done
 */
import { untilAborted } from '../../aborts.js'
import type { Shard } from '../../calibration/shard.js'
import type { Note } from '../../notes.js'
import type { LayerReport, ProgressEvent, QuantizeReport } from '../../options.js'
import { capturesOf } from '../observeStage.js'
import type { PlannedLayer, PlannedModel } from '../preparedModel.js'
import type { RunProgress } from '../runProgress.js'
import type { FinishedLayer, SolvedStage } from '../solveStage.js'
import type { StageSteps } from '../stageLoop.js'
import { checkSame } from './difference.js'
import { identityOf, sampleIdentity } from './identity.js'
import { layerBytes, layerFrom, type StoredLayer } from './layerFile.js'
import { layerName, PLAN, parsed, REPORT, RUN, readRun, runFile, SURVEY } from './names.js'
import type { Store } from './store.js'
import { type Survey, surveyBytes, surveyFrom } from './surveyFile.js'

/** A checkpoint that fits the model and the plan, and whose samples are still to be compared. */
export interface OpenedCheckpoint {
  /**
   * Begins the run, or goes on with it.
   * @throws GpfqError CHECKPOINT_DIFFERS for other samples; what the store throws; the signal's reason
   */
  begin(shard: Shard): Promise<Checkpoint>
}

export interface CheckpointOptions {
  readonly store: Store
  /** Begin anew, whatever the store holds. */
  readonly restart: boolean
  readonly runner: string
  readonly fastMath: boolean
  readonly signal: AbortSignal | undefined
}

/**
 * Compares what a store holds with a run, as far as no samples are needed.
 * @throws GpfqError CHECKPOINT_DIFFERS for another run, with what differs; what the store throws
 */
export async function openCheckpoint(
  { source, plan }: PlannedModel,
  { store: given, restart, runner, fastMath, signal }: CheckpointOptions,
): Promise<OpenedCheckpoint> {
  const store = abortableStore(given, signal)
  const identity = await identityOf(source, plan, runner, fastMath, signal)
  const bytes = await store.get(RUN)
  const known = bytes === null || restart ? null : await readRun(bytes)
  const [stored, planBytes] = [await store.get(PLAN), jsonBytes(plan)]
  if (known !== null) checkSame(known, identity, parsed(stored), plan)
  const attempt = restart ? globalThis.crypto.randomUUID() : (known?.attempt ?? '')
  const files = [
    ...(bytes !== null && !restart && known === null ? [RUN] : []),
    ...(stored !== null && known !== null && parsed(stored) === null ? [PLAN] : []),
  ]
  return {
    async begin(shard) {
      const own = await runFile({ attempt, ...identity, ...(await sampleIdentity(shard, signal)) })
      if (known !== null) checkSame(known, own)
      else await store.set(RUN, jsonBytes(own))
      if (stored === null || !isEqual(stored, planBytes)) await store.set(PLAN, planBytes)
      return new Checkpoint(store, own.run, known !== null, files.map(damaged))
    },
  }
}

/** The store, whose answers are waited for until the signal aborts. */
const abortableStore = (store: Store, signal: AbortSignal | undefined): Store => ({
  get: (name) => untilAborted(signal, store.get(name)),
  set: (name, bytes) => untilAborted(signal, store.set(name, bytes)),
})

/** A run with the store that its stages are kept in. */
export class Checkpoint {
  readonly #store: Store
  readonly #run: string
  readonly #notes: Note[]
  readonly #reports: { readonly index: number; readonly layer: LayerReport }[] = []
  /** Whether the store held this run. */
  readonly isContinued: boolean

  /** @param run in every file */
  constructor(store: Store, run: string, isContinued: boolean, notes: readonly Note[]) {
    this.#store = store
    this.#run = run
    this.isContinued = isContinued
    this.#notes = [...notes]
  }

  /** What was damaged. */
  get notes(): readonly Note[] {
    return this.#notes
  }

  /** The steps of a run, with finished stages from the store, and new ones kept in it. */
  steps(
    planned: PlannedModel,
    steps: StageSteps,
    { stage: progress }: Pick<RunProgress, 'stage'>,
  ): StageSteps {
    const rounded = planned.layers.filter((layer) => layer.rounded !== null)
    return {
      ...steps,
      round: () => this.#stage(rounded, steps.round),
      fix: async (stage, network) => {
        await this.#keepReports()
        await steps.fix(stage, network)
      },
      solve: async (stage, network) => {
        // In the order in which they are solved: the written model follows it.
        const layers = capturesOf(planned, planned.stages[stage]!).flatMap(({ layers }) =>
          layers.map(({ name }) => planned.byName.get(name)!),
        )
        const solved = await this.#stage(layers, () => steps.solve(stage, network))
        progress(stage, 1)
        return solved
      },
    }
  }

  /** The survey of mixed precision. */
  async survey(compute: () => Promise<Survey>): Promise<Survey> {
    const kept = await this.#read(SURVEY, (bytes) => surveyFrom(SURVEY, bytes, this.#run))
    if (kept !== null) return kept
    const survey = await compute()
    await this.#store.set(SURVEY, surveyBytes(this.#run, survey))
    return survey
  }

  /** The listener, which also takes the reports of layers: they are kept with the next step. */
  reporting(onProgress: ((event: ProgressEvent) => void) | undefined): (event: ProgressEvent) => void {
    return (event) => {
      if (event.type === 'layer-done') this.#reports.push(event)
      onProgress?.(event)
    }
  }

  /** The run is done. */
  async finish(report: QuantizeReport): Promise<void> {
    await this.#keepReports()
    await this.#store.set(REPORT, jsonBytes({ run: this.#run, ...report }))
  }

  async #stage(layers: readonly PlannedLayer[], compute: () => Promise<SolvedStage>): Promise<SolvedStage> {
    const kept = await this.#layers(layers)
    if (kept !== null) return kept
    const solved = await compute()
    for (const [i, layer] of solved.layers.entries()) {
      const notes = i === 0 ? solved.notes : []
      await this.#store.set(nameOf(layer.planned, 'gpfq'), layerBytes(this.#run, { layer, notes }))
    }
    return solved
  }

  /** The layers of a stage, null if one of them is missing. */
  async #layers(planned: readonly PlannedLayer[]): Promise<SolvedStage | null> {
    const layers: FinishedLayer[] = []
    const notes: Note[] = []
    for (const own of planned) {
      const name = nameOf(own, 'gpfq')
      const stored = await this.#read(name, (bytes): StoredLayer | null =>
        layerFrom(name, bytes, this.#run, own),
      )
      if (stored === null) return null
      layers.push(stored.layer)
      notes.push(...stored.notes)
    }
    return { layers, notes }
  }

  /** Reads a file; null where there is none of this run. A damaged one counts as none, with a note. */
  async #read<T>(name: string, read: (bytes: Uint8Array) => T | null): Promise<T | null> {
    const bytes = await this.#store.get(name)
    if (bytes === null) return null
    try {
      return read(bytes)
    } catch {
      this.#notes.push(damaged(name))
      return null
    }
  }

  async #keepReports(): Promise<void> {
    for (const { index, layer } of this.#reports.splice(0)) {
      const name = layerName(index, layer.name, 'json')
      const bytes = jsonBytes({ run: this.#run, ...layer })
      const kept = await this.#store.get(name)
      if (kept === null || !isEqual(kept, bytes)) await this.#store.set(name, bytes)
    }
  }
}

const nameOf = ({ index, name }: PlannedLayer, kind: 'gpfq' | 'json'): string => layerName(index, name, kind)

const jsonBytes = (value: unknown): Uint8Array =>
  new TextEncoder().encode(`${JSON.stringify(value, null, 2)}\n`)

const isEqual = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && a.every((byte, i) => byte === b[i])

const damaged = (name: string): Note => ({
  code: 'CHECKPOINT_DAMAGED',
  place: `checkpoint, ${name}`,
  text: 'the file was damaged, and is made again',
})
