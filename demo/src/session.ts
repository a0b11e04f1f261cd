/**
 * The page's state and all that can be done to it. Talks to the worker; components only read the state and call the
 * actions. What comes back late, for a model or settings that were changed meanwhile, is dropped.
 */
import { proxy, type Remote, wrap } from 'comlink'
import type { LayerReport, ModelPlan } from 'gpfq/onnx'
import type {
  DataSummary,
  Failure,
  JobApi,
  ModelSummary,
  Outcome,
  Preprocessing,
  RunEvent,
  RunResult,
  Settings,
} from './job/protocol.ts'
import { DEFAULT_PREPROCESSING, DEFAULT_SETTINGS } from './settings.ts'

/** Something that the visitor chose: files, and what the worker made of them. */
export interface Choice<T> {
  readonly files: readonly File[] | null
  readonly busy: boolean
  readonly summary: T | null
  readonly failure: Failure | null
}

export interface RunState {
  readonly status: 'idle' | 'running' | 'cancelled' | 'failed' | 'done'
  readonly fraction: number
  readonly doing: string
  readonly secondsLeft: number | null
  /** Layer whose codes are being chosen. */
  readonly current: string | null
  readonly own: ReadonlyMap<string, LayerReport>
  readonly rounded: ReadonlyMap<string, LayerReport>
  readonly failure: Failure | null
  readonly result: RunResult | null
}

export interface State {
  /** Whether threads can be had. */
  readonly threaded: boolean
  readonly model: Choice<ModelSummary>
  readonly calibration: Choice<DataSummary>
  readonly test: Choice<DataSummary>
  readonly plan: ModelPlan | null
  readonly planFailure: Failure | null
  readonly settings: Settings
  readonly preprocessing: Preprocessing
  readonly compare: boolean
  readonly run: RunState
}

const NOTHING = { files: null, busy: false, summary: null, failure: null } as const

const IDLE: RunState = {
  status: 'idle',
  fraction: 0,
  doing: '',
  secondsLeft: null,
  current: null,
  own: new Map(),
  rounded: new Map(),
  failure: null,
  result: null,
}

/** More threads than this bring nothing in a page, and every one holds memory. */
const MOST_THREADS = 8
/** A worker that has not heard of a cancellation by then is in the middle of a long run of the network: it is ended. */
const PATIENCE = 600

export class Session {
  #state: State
  #job: Job
  #turn = { model: 0, calibration: 0, test: 0, plan: 0, run: 0 }
  readonly #listeners = new Set<() => void>()

  constructor(threaded: boolean) {
    const threads = threaded ? Math.min(MOST_THREADS, navigator.hardwareConcurrency) : 1
    this.#state = {
      threaded,
      model: NOTHING,
      calibration: NOTHING,
      test: NOTHING,
      plan: null,
      planFailure: null,
      settings: { ...DEFAULT_SETTINGS, threads },
      preprocessing: DEFAULT_PREPROCESSING,
      compare: true,
      run: IDLE,
    }
    this.#job = startJob()
  }

  get state(): State {
    return this.#state
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #set(change: Partial<State>): void {
    this.#state = { ...this.#state, ...change }
    for (const listener of this.#listeners) listener()
  }

  #setRun(change: Partial<RunState>): void {
    this.#set({ run: { ...this.#state.run, ...change } })
  }

  async chooseModel(files: readonly File[]): Promise<void> {
    await this.#stop()
    const turn = ++this.#turn.model
    this.#turn.calibration++
    this.#turn.test++
    this.#turn.plan++
    this.#set({
      model: { ...NOTHING, files, busy: true },
      calibration: NOTHING,
      test: NOTHING,
      plan: null,
      planFailure: null,
      preprocessing: DEFAULT_PREPROCESSING,
      run: IDLE,
    })
    const outcome = await this.#ask((job) => job.openModel(files))
    if (turn !== this.#turn.model) return
    this.#set({ model: { ...this.#state.model, busy: false, ...settled(outcome) } })
    if (outcome.ok) await this.#replan()
  }

  /** The network for handwritten digits that comes with the package, and its data. */
  async chooseExample(): Promise<void> {
    this.#set({ model: { ...NOTHING, busy: true } })
    const outcome = await asOutcome(async () => (await import('./example.ts')).loadExample())
    if (!outcome.ok) return this.#set({ model: { ...NOTHING, failure: outcome.failure } })
    const { model, calibration, test, preprocessing } = outcome.value
    await this.chooseModel([model])
    if (this.#state.model.summary === null) return
    this.#set({ preprocessing })
    await Promise.all([this.chooseCalibration([calibration]), this.chooseTest([test])])
  }

  async chooseCalibration(files: readonly File[] | null): Promise<void> {
    const turn = ++this.#turn.calibration
    await this.#stop()
    this.#set({ calibration: { ...NOTHING, files, busy: files !== null }, run: IDLE })
    const { preprocessing } = this.#state
    const outcome = await this.#ask((job) => job.openCalibration(files, preprocessing))
    if (turn === this.#turn.calibration)
      this.#set({ calibration: { ...this.#state.calibration, busy: false, ...settled(outcome) } })
  }

  async chooseTest(files: readonly File[] | null): Promise<void> {
    const turn = ++this.#turn.test
    await this.#stop()
    this.#set({ test: { ...NOTHING, files, busy: files !== null } })
    const { preprocessing } = this.#state
    const outcome = await this.#ask((job) => job.openTest(files, preprocessing))
    if (turn === this.#turn.test)
      this.#set({ test: { ...this.#state.test, busy: false, ...settled(outcome) } })
  }

  async changePreprocessing(change: Partial<Preprocessing>): Promise<void> {
    this.#set({ preprocessing: { ...this.#state.preprocessing, ...change } })
    const { calibration, test } = this.#state
    if (calibration.files !== null) await this.chooseCalibration(calibration.files)
    if (test.files !== null) await this.chooseTest(test.files)
  }

  async changeSettings(change: Partial<Settings>): Promise<void> {
    this.#set({ settings: { ...this.#state.settings, ...change } })
    await this.#replan()
  }

  changeCompare(compare: boolean): void {
    this.#set({ compare })
  }

  async #replan(): Promise<void> {
    if (this.#state.model.summary === null) return
    const turn = ++this.#turn.plan
    const { settings } = this.#state
    const outcome = await this.#ask((job) => job.plan(settings))
    if (turn !== this.#turn.plan) return
    this.#set(
      outcome.ok ? { plan: outcome.value, planFailure: null } : { plan: null, planFailure: outcome.failure },
    )
  }

  async run(): Promise<void> {
    await this.#stop()
    const turn = ++this.#turn.run
    const started = performance.now()
    this.#set({ run: { ...IDLE, status: 'running', doing: 'starting' } })
    const { settings, preprocessing, compare } = this.#state
    const listen = (event: RunEvent): void => {
      if (turn === this.#turn.run && this.#state.run.status === 'running') this.#hear(event, started)
    }
    const outcome = await this.#ask((job) => job.run({ settings, preprocessing, compare }, proxy(listen)))
    if (turn !== this.#turn.run) return
    if (outcome.ok) this.#setRun({ status: 'done', fraction: 1, result: outcome.value, current: null })
    else this.#setRun({ status: 'failed', failure: outcome.failure, current: null })
  }

  #hear(event: RunEvent, started: number): void {
    const { run } = this.#state
    if (event.type === 'progress') {
      const seconds = (performance.now() - started) / 1000
      const { fraction, doing } = event
      const known = seconds > 1 && fraction > 0.03
      this.#setRun({ fraction, doing, secondsLeft: known ? (seconds * (1 - fraction)) / fraction : null })
    } else if (event.type === 'layer-start') this.#setRun({ current: event.name })
    else {
      const of = event.rounded ? 'rounded' : 'own'
      this.#setRun({ [of]: new Map(run[of]).set(event.layer.name, event.layer) })
    }
  }

  /** Ends the run at once for the visitor, and within PATIENCE for the machine. */
  async cancel(): Promise<void> {
    if (this.#state.run.status !== 'running') return
    this.#setRun({ status: 'cancelled', current: null, secondsLeft: null })
    await this.#stop()
  }

  #stopping: Promise<void> = Promise.resolve()
  #busy: Promise<unknown> | null = null

  /** No run is going on in the worker when this comes back. */
  #stop(): Promise<void> {
    this.#turn.run++
    const busy = this.#busy
    if (busy === null) return this.#stopping
    this.#busy = null
    this.#stopping = (async () => {
      const late = new Promise<'late'>((resolve) => setTimeout(resolve, PATIENCE, 'late'))
      void this.#job.remote.cancel()
      if ((await Promise.race([busy, late])) === 'late') await this.#restart()
    })()
    return this.#stopping
  }

  /** Ends the worker with all its threads, and brings another one to where it was. */
  async #restart(): Promise<void> {
    this.#job.worker.terminate()
    this.#job = startJob()
    const { remote } = this.#job
    const { model, calibration, test, preprocessing } = this.#state
    if (model.files !== null) await remote.openModel(model.files)
    if (calibration.files !== null) await remote.openCalibration(calibration.files, preprocessing)
    if (test.files !== null) await remote.openTest(test.files, preprocessing)
  }

  async #ask<T>(question: (job: Remote<JobApi>) => Promise<Outcome<T>>): Promise<Outcome<T>> {
    await this.#stopping
    const { remote, died } = this.#job
    const answer = Promise.race([question(remote), died])
    this.#busy = answer
    const outcome = await answer
    if (this.#busy === answer) this.#busy = null
    return outcome
  }
}

interface Job {
  readonly worker: Worker
  readonly remote: Remote<JobApi>
  /** Settles if the worker's script does not load or throws outside of a call; questions would never be answered. */
  readonly died: Promise<Outcome<never>>
}

function startJob(): Job {
  const worker = new Worker(new URL('./job/worker.ts', import.meta.url), { type: 'module', name: 'gpfq' })
  const died = new Promise<Outcome<never>>((resolve) => {
    worker.addEventListener('error', ({ message }) => resolve(broken(message ?? '')), { once: true })
  })
  return { worker, remote: wrap<JobApi>(worker), died }
}

function settled<T>(outcome: Outcome<T | null>): { summary: T | null; failure: Failure | null } {
  return outcome.ok ? { summary: outcome.value, failure: null } : { summary: null, failure: outcome.failure }
}

function broken(reason: string): Outcome<never> {
  const detail = reason === '' ? 'Its script did not load. Reload the page to try again.' : reason
  return { ok: false, failure: { code: 'WORKER_FAILED', title: 'The page’s worker stopped', detail } }
}

async function asOutcome<T>(act: () => Promise<T>): Promise<Outcome<T>> {
  try {
    return { ok: true, value: await act() }
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error)
    return { ok: false, failure: { code: 'UNEXPECTED', title: 'The example did not load', detail } }
  }
}
