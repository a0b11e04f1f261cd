/**
 * The state of the page and the actions that change it. The session asks the worker; components read the state and call
 * the actions. An answer to a model or to settings that have changed since the question is dropped.
 */
import { proxy, type Remote, wrap } from 'comlink'
import type { LayerReport, ModelPlan } from 'gpfq/onnx'
import type {
  DataSummary,
  Failure,
  JobApi,
  ModelSummary,
  Outcome,
  PageSettings,
  Preprocessing,
  RunEvent,
  RunResult,
} from './job/protocol.ts'
import { DEFAULT_PREPROCESSING, DEFAULT_SETTINGS } from './pageSettings.ts'

/** Files that the visitor chose, and the worker's summary of them. */
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
  /** Whether the browser allows threads. */
  readonly threaded: boolean
  readonly model: Choice<ModelSummary>
  readonly calibration: Choice<DataSummary>
  readonly test: Choice<DataSummary>
  readonly plan: ModelPlan | null
  readonly planFailure: Failure | null
  readonly settings: PageSettings
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

/** More threads make a run in a page no faster, and each holds memory. */
const MOST_THREADS = 8
/** Milliseconds that a worker has to stop. After that it is inside a long run of the network, and is ended. */
const PATIENCE = 600

export class Session {
  #state: State
  #job: Job
  readonly #turn: Turns = { model: 0, calibration: 0, test: 0, plan: 0, run: 0 }
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
    this.#stop()
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
    const outcome = await this.#ask('model', (job) => job.openModel(files))
    if (outcome === null) return
    this.#set({ model: { ...this.#state.model, busy: false, ...settled(outcome) } })
    if (outcome.ok) await this.#replan()
  }

  /** Opens the network for handwritten digits of the package, with its data. */
  async chooseExample(): Promise<void> {
    this.#set({ model: { ...NOTHING, busy: true } })
    const outcome = await asOutcome(async () => (await import('./example.ts')).loadExample())
    if (!outcome.ok) return this.#set({ model: { ...NOTHING, failure: outcome.failure } })
    const { model, calibration, test, preprocessing } = outcome.value
    await this.chooseModel([model])
    const chosen = this.#state.model
    if (chosen.files?.[0] !== model || chosen.summary === null) return
    this.#set({ preprocessing })
    await Promise.all([this.chooseCalibration([calibration]), this.chooseTest([test])])
  }

  async chooseCalibration(files: readonly File[] | null): Promise<void> {
    this.#stop()
    this.#set({ calibration: { ...NOTHING, files, busy: files !== null }, run: IDLE })
    const { preprocessing } = this.#state
    const outcome = await this.#ask('calibration', (job) => job.openCalibration(files, preprocessing))
    if (outcome !== null)
      this.#set({ calibration: { ...this.#state.calibration, busy: false, ...settled(outcome) } })
  }

  async chooseTest(files: readonly File[] | null): Promise<void> {
    this.#stop()
    this.#set({ test: { ...NOTHING, files, busy: files !== null } })
    const { preprocessing } = this.#state
    const outcome = await this.#ask('test', (job) => job.openTest(files, preprocessing))
    if (outcome !== null) this.#set({ test: { ...this.#state.test, busy: false, ...settled(outcome) } })
  }

  async changePreprocessing(change: Partial<Preprocessing>): Promise<void> {
    this.#set({ preprocessing: { ...this.#state.preprocessing, ...change } })
    const { calibration, test } = this.#state
    await Promise.all([
      calibration.files !== null && this.chooseCalibration(calibration.files),
      test.files !== null && this.chooseTest(test.files),
    ])
  }

  async changeSettings(change: Partial<PageSettings>): Promise<void> {
    this.#set({ settings: { ...this.#state.settings, ...change } })
    await this.#replan()
  }

  changeCompare(compare: boolean): void {
    this.#set({ compare })
  }

  /** Settles when the latest plan has been asked for and answered. */
  #planning: Promise<void> = Promise.resolve()

  #replan(): Promise<void> {
    this.#planning = this.#askForPlan()
    return this.#planning
  }

  async #askForPlan(): Promise<void> {
    if (this.#state.model.summary === null) return
    const { settings } = this.#state
    const outcome = await this.#ask('plan', (job) => job.plan(settings))
    if (outcome === null) return
    this.#set(
      outcome.ok ? { plan: outcome.value, planFailure: null } : { plan: null, planFailure: outcome.failure },
    )
  }

  /** Carries out the plan that the page shows. If a plan is being computed, waits for it. */
  async run(): Promise<void> {
    this.#stop()
    const turn = this.#turn.run
    const started = performance.now()
    this.#set({ run: { ...IDLE, status: 'running', doing: 'starting' } })
    await this.#planned()
    if (turn !== this.#turn.run) return
    const { plan, settings, compare } = this.#state
    if (plan === null) return this.#set({ run: IDLE })
    const listen = (event: RunEvent): void => {
      if (this.#running === answer) this.#hear(event, started)
    }
    const answer = this.#ask('run', (job) => job.run({ plan, settings, compare }, proxy(listen)))
    this.#running = answer
    const outcome = await answer
    if (outcome === null) return
    this.#running = null
    if (outcome.ok) {
      // The sizes of layers are final when the file is written.
      const own = new Map(outcome.value.document.report.layers.map((layer) => [layer.name, layer]))
      this.#setRun({ status: 'done', fraction: 1, result: outcome.value, current: null, own })
    } else this.#setRun({ status: 'failed', failure: outcome.failure, current: null })
  }

  /** Waits until the plan fits the settings, which may change meanwhile. */
  async #planned(): Promise<void> {
    let planning: Promise<void> | null = null
    while (planning !== this.#planning) {
      planning = this.#planning
      await planning
    }
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

  /** Ends the run: the page shows it at once, the worker stops within PATIENCE. */
  cancel(): void {
    if (this.#state.run.status !== 'running') return
    this.#setRun({ status: 'cancelled', current: null, secondsLeft: null })
    this.#stop()
  }

  #stopping: Promise<void> = Promise.resolve()
  /** The current run. Other questions are short and are not stopped. */
  #running: Promise<unknown> | null = null

  /** Stops the current run. The worker has stopped as well when `#stopping` settles. */
  #stop(): void {
    this.#turn.run++
    if (this.#state.run.status === 'running') this.#set({ run: IDLE })
    const running = this.#running
    if (running === null) return
    this.#running = null
    const stopped = this.#stopping
    this.#stopping = (async () => {
      await stopped
      const late = new Promise<'late'>((resolve) => setTimeout(resolve, PATIENCE, 'late'))
      void this.#job.remote.cancel()
      if ((await Promise.race([running, late])) === 'late') await this.#restart()
    })()
  }

  /**
   * Ends the worker with all its threads, starts another and opens the same files in it. Files that were still being
   * opened are left out: #ask repeats those questions.
   */
  async #restart(): Promise<void> {
    this.#job.end()
    this.#job = startJob()
    const { remote, died } = this.#job
    const { model, calibration, test, preprocessing } = this.#state
    const open = async <T>({ files, busy }: Choice<T>, ask: (files: readonly File[]) => Promise<unknown>) => {
      if (files !== null && !busy) await Promise.race([ask(files), died])
    }
    await open(model, (files) => remote.openModel(files))
    await open(calibration, (files) => remote.openCalibration(files, preprocessing))
    await open(test, (files) => remote.openTest(files, preprocessing))
  }

  /**
   * Asks the worker, and once more if the worker is ended meanwhile. The answer is null if a later question of the same
   * kind has replaced it, or the run has been stopped.
   */
  async #ask<T>(
    kind: keyof Turns,
    question: (job: Remote<JobApi>) => Promise<Outcome<T>>,
  ): Promise<Outcome<T> | null> {
    const turn = ++this.#turn[kind]
    const wanted = (): boolean => turn === this.#turn[kind]
    for (;;) {
      await this.#stopping
      if (!wanted()) return null
      const { remote, died, ended } = this.#job
      const outcome = await Promise.race([question(remote), died, ended])
      if (!wanted()) return null
      if (outcome !== 'ended') return outcome
    }
  }
}

/** Counters of the questions of each kind. A question is current while its number is the latest. */
interface Turns {
  model: number
  calibration: number
  test: number
  plan: number
  run: number
}

interface Job {
  readonly remote: Remote<JobApi>
  /** Settles if the worker's script does not load or throws outside of a call; no question is answered then. */
  readonly died: Promise<Outcome<never>>
  /** Settles when the worker is ended; open questions stay without an answer. */
  readonly ended: Promise<'ended'>
  end(): void
}

function startJob(): Job {
  const worker = new Worker(new URL('./job/worker.ts', import.meta.url), { type: 'module', name: 'gpfq' })
  const died = new Promise<Outcome<never>>((resolve) => {
    worker.addEventListener('error', ({ message }) => resolve(broken(message ?? '')), { once: true })
  })
  const ending = new AbortController()
  const ended = new Promise<'ended'>((resolve) => {
    ending.signal.addEventListener('abort', () => resolve('ended'))
  })
  const end = () => {
    worker.terminate()
    ending.abort()
  }
  return { remote: wrap<JobApi>(worker), died, ended, end }
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
