/**
 * The state of the page and the actions that change it. The session asks the worker; components read the state and call
 * the actions. An answer to a model or to settings that have changed since the question is dropped. A question that is
 * not wanted any more is given up at once: if the worker does not end it within PATIENCE, the worker is ended, and the
 * next question starts another.
 */
import { proxy, type Remote } from 'comlink'
import type { LayerReport, ModelPlan } from 'gpfq/onnx'
import { dropKept } from './job/kept.ts'
import type {
  Chosen,
  ChosenData,
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
import { JobWorker } from './jobWorker.ts'
import { DEFAULT_PREPROCESSING, DEFAULT_SETTINGS } from './pageSettings.ts'

/** Files that the visitor chose, and the worker's summary of them. */
export interface Choice<T> {
  /** Counts the choices. */
  readonly id: number
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
  /** Whether layers that an earlier tab has kept are taken over. */
  readonly resumed: boolean
  /** Layer whose codes are being chosen. */
  readonly current: string | null
  readonly own: ReadonlyMap<string, LayerReport>
  readonly rounded: ReadonlyMap<string, LayerReport>
  readonly failure: Failure | null
  readonly result: RunResult | null
}

export interface State {
  /** Whether the browser gives pages a GPU; false until it has answered. */
  readonly hasGpu: boolean
  /** Whether the browser allows threads. */
  readonly threaded: boolean
  readonly model: Choice<ModelSummary>
  readonly calibration: Choice<DataSummary>
  readonly test: Choice<DataSummary>
  readonly plan: ModelPlan | null
  readonly planning: boolean
  readonly planFailure: Failure | null
  readonly settings: PageSettings
  readonly preprocessing: Preprocessing
  readonly compare: boolean
  readonly run: RunState
}

const NOTHING = { id: 0, files: null, busy: false, summary: null, failure: null } as const

const IDLE: RunState = {
  status: 'idle',
  fraction: 0,
  doing: '',
  secondsLeft: null,
  resumed: false,
  current: null,
  own: new Map(),
  rounded: new Map(),
  failure: null,
  result: null,
}

/** More threads make a run in a page no faster, and each holds memory. */
const MOST_THREADS = 8
/** Milliseconds that a worker has to end a question. After that it is inside a long computation, and is ended. */
const PATIENCE = 100

/** Failures that may leave the worker without memory, or ONNX Runtime without a state. */
const DISABLING: ReadonlySet<string> = new Set([
  'OUT_OF_MEMORY',
  'RUNTIME_FAILED',
  'WORKER_FAILED',
  'UNEXPECTED',
])

export class Session {
  #state: State
  #job = new JobWorker()
  #choices = 0
  readonly #turn: Record<Question, number> = { model: 0, calibration: 0, test: 0, plan: 0, run: 0 }
  readonly #open = new Map<Question, Promise<unknown>>()
  readonly #listeners = new Set<() => void>()

  constructor(threaded: boolean) {
    const threads = threaded ? Math.min(MOST_THREADS, navigator.hardwareConcurrency) : 1
    this.#state = {
      threaded,
      hasGpu: false,
      model: NOTHING,
      calibration: NOTHING,
      test: NOTHING,
      plan: null,
      planning: false,
      planFailure: null,
      settings: { ...DEFAULT_SETTINGS, threads },
      preprocessing: DEFAULT_PREPROCESSING,
      compare: true,
      run: IDLE,
    }
    void findGpu().then((hasGpu) => this.#set({ hasGpu }))
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
    const chosen = { id: ++this.#choices, files }
    this.#startAgain({ ...NOTHING, ...chosen, busy: true })
    const outcome = await this.#ask('model', (job) => job.openModel(chosen))
    if (outcome === null) return
    this.#set({ model: { ...this.#state.model, busy: false, ...settled(outcome) } })
    if (outcome.ok) await this.#replan()
  }

  cancelModel(): void {
    this.#startAgain(NOTHING)
  }

  /** Gives up all questions, and everything that was chosen for an earlier model. */
  #startAgain(model: Choice<ModelSummary>): void {
    this.#giveUp('model', 'calibration', 'test', 'plan', 'run')
    this.#set({
      ...{ model, calibration: NOTHING, test: NOTHING },
      ...{ plan: null, planning: false, planFailure: null },
      ...{ preprocessing: DEFAULT_PREPROCESSING, run: IDLE },
    })
  }

  /** Opens the network for handwritten digits of the package, with its data. */
  async chooseExample(): Promise<void> {
    const loading: Choice<ModelSummary> = { ...NOTHING, id: ++this.#choices, busy: true }
    this.#startAgain(loading)
    const outcome = await asOutcome(async () => (await import('./example.ts')).loadExample())
    if (this.#state.model !== loading) return
    if (!outcome.ok) return this.#set({ model: { ...NOTHING, failure: outcome.failure } })
    const { model, calibration, test, preprocessing } = outcome.value
    await this.chooseModel([model])
    const chosen = this.#state.model
    if (chosen.files?.[0] !== model || chosen.summary === null) return
    this.#set({ preprocessing })
    await Promise.all([this.chooseData('calibration', [calibration]), this.chooseData('test', [test])])
  }

  /** @param files null takes the data away */
  async chooseData(kind: DataKind, files: readonly File[] | null): Promise<void> {
    this.#giveUp(kind, 'run')
    const { preprocessing } = this.#state
    const model = chosenOf(this.#state.model)
    const chosen = { id: ++this.#choices, files: files ?? [], preprocessing }
    // The results of a run stay where the test data alone has changed.
    const run = kind === 'calibration' || this.#state.run.status === 'running' ? IDLE : this.#state.run
    this.#set({ [kind]: { ...NOTHING, id: chosen.id, files, busy: files !== null }, run })
    if (files === null || model === null) return
    const outcome = await this.#ask(kind, (job) =>
      kind === 'test' ? job.openTest(model, chosen) : job.openCalibration(model, chosen),
    )
    if (outcome !== null) this.#set({ [kind]: { ...this.#state[kind], busy: false, ...settled(outcome) } })
  }

  async changePreprocessing(change: Partial<Preprocessing>): Promise<void> {
    this.#set({ preprocessing: { ...this.#state.preprocessing, ...change } })
    const { calibration, test } = this.#state
    await Promise.all([
      calibration.files !== null && this.chooseData('calibration', calibration.files),
      test.files !== null && this.chooseData('test', test.files),
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
    const model = chosenOf(this.#state.model)
    if (model === null) return
    const { settings } = this.#state
    this.#set({ planning: true })
    const outcome = await this.#ask('plan', (job) => job.plan(model, settings))
    if (outcome === null) return
    const [plan, planFailure] = outcome.ok ? [outcome.value, null] : [null, outcome.failure]
    this.#set({ plan, planFailure, planning: false })
  }

  /** The next run plans first. */
  cancelPlan(): void {
    this.#giveUp('plan')
    this.#set({ plan: null, planning: false, planFailure: null })
  }

  /** Carries out the plan that the page shows. If there is none, waits for it. */
  async run(): Promise<void> {
    this.#giveUp('run')
    const waiting = this.#turn.run
    const started = performance.now()
    this.#set({ run: { ...IDLE, status: 'running', doing: 'starting' } })
    if (this.#state.plan === null && !this.#state.planning) void this.#replan()
    await this.#planned()
    if (waiting !== this.#turn.run) return
    const { plan, settings, compare, calibration, test } = this.#state
    const model = chosenOf(this.#state.model)
    if (plan === null || model === null) return this.#set({ run: IDLE })
    const request = {
      ...{ plan, settings, compare, model },
      ...{ calibration: this.#chosenData(calibration), test: this.#chosenData(test) },
    }
    const listen = (event: RunEvent): void => {
      if (turn === this.#turn.run && this.#state.run.status === 'running') this.#hear(event, started)
    }
    const answer = this.#ask('run', (job) => job.run(request, proxy(listen)))
    const turn = this.#turn.run
    const outcome = await answer
    if (outcome === null) return
    if (outcome.ok) {
      // The sizes of layers are final when the file is written.
      const own = new Map(outcome.value.document.report.layers.map((layer) => [layer.name, layer]))
      this.#setRun({ status: 'done', fraction: 1, result: outcome.value, current: null, own })
    } else this.#setRun({ status: 'failed', failure: outcome.failure, current: null })
  }

  #chosenData(choice: Choice<DataSummary>): ChosenData | null {
    const chosen = chosenOf(choice)
    return chosen && { ...chosen, preprocessing: this.#state.preprocessing }
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
    } else if (event.type === 'resume') this.#setRun({ resumed: true })
    else if (event.type === 'layer-start') this.#setRun({ current: event.name })
    else {
      const of = event.rounded ? 'rounded' : 'own'
      this.#setRun({ [of]: new Map(run[of]).set(event.layer.name, event.layer) })
    }
  }

  /** Ends the run: the page shows it at once, the worker stops within PATIENCE. */
  cancelRun(): void {
    if (this.#state.run.status !== 'running') return
    this.#giveUp('run')
    this.#setRun({ status: 'cancelled', current: null, secondsLeft: null })
  }

  /** Settles when the worker is free of the questions that were given up, or is ended. */
  #freed: Promise<void> = Promise.resolve()

  /** Gives up open questions of these kinds. Others are asked again if the worker has to be ended. */
  #giveUp(...kinds: readonly Question[]): void {
    const open = kinds.flatMap((kind) => this.#open.get(kind) ?? [])
    for (const kind of kinds) {
      this.#turn[kind]++
      this.#open.delete(kind)
    }
    if (open.length === 0) return
    const before = this.#freed
    this.#freed = (async () => {
      await before
      const job = this.#job
      if (kinds.includes('run')) void job.remote.cancel()
      const late = new Promise<'late'>((resolve) => setTimeout(resolve, PATIENCE, 'late'))
      if ((await Promise.race([Promise.all(open), late])) === 'late') job.end()
      if (kinds.includes('run')) await dropKept()
    })()
  }

  /**
   * Asks the worker, and once more if the worker is ended meanwhile. The answer is null if a later question of the same
   * kind has replaced it, or it was given up.
   */
  async #ask<T>(
    kind: Question,
    question: (job: Remote<JobApi>) => Promise<Outcome<T>>,
  ): Promise<Outcome<T> | null> {
    const turn = ++this.#turn[kind]
    const wanted = (): boolean => turn === this.#turn[kind]
    for (;;) {
      await this.#freed
      if (!wanted()) return null
      if (this.#job.gone) this.#job = new JobWorker()
      const job = this.#job
      const answer = Promise.race([question(job.remote), job.died, job.ended])
      this.#open.set(kind, answer)
      const outcome = await answer
      if (!wanted()) return null
      this.#open.delete(kind)
      if (outcome === 'ended') continue
      if (!outcome.ok && DISABLING.has(outcome.failure.code)) job.end()
      return outcome
    }
  }
}

/** What the worker is asked. A question is current while its number in #turn is the latest of its kind. */
type Question = 'model' | 'plan' | 'run' | DataKind

export type DataKind = 'calibration' | 'test'

/** What was chosen and could be read; null otherwise. */
function chosenOf({ id, files, summary }: Choice<unknown>): Chosen | null {
  return files === null || summary === null ? null : { id, files }
}

function settled<T>(outcome: Outcome<T | null>): { summary: T | null; failure: Failure | null } {
  return outcome.ok ? { summary: outcome.value, failure: null } : { summary: null, failure: outcome.failure }
}

async function asOutcome<T>(act: () => Promise<T>): Promise<Outcome<T>> {
  try {
    return { ok: true, value: await act() }
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error)
    return { ok: false, failure: { code: 'UNEXPECTED', title: 'The example did not load', detail } }
  }
}

async function findGpu(): Promise<boolean> {
  const gpu: GPU | undefined = navigator.gpu
  return ((await gpu?.requestAdapter().catch(() => null)) ?? null) !== null
}
