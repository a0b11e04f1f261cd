/** How far the run of a checkpoint came, for people. */
import { type LayerText, layerText } from './layerFile.js'
import { field, layerName, PLAN, parsed, REPORT, RUN, type RunFile, readRun } from './names.js'
import type { Store } from './store.js'

/** A layer of the plan, and what is known of it by now. */
export interface LayerState {
  readonly name: string
  /** Per group. */
  readonly inputs: number
  readonly neurons: number
  readonly groups: number
  readonly levels: number
  readonly done: boolean
  /** Of choosing its codes; null until it is done. */
  readonly seconds: number | null
  /** Null until the stage after it has run. */
  readonly relativeError: number | null
  readonly sqnrDb: number | null
  readonly heldOutError: number | null
}

export interface CheckpointState extends Pick<RunFile, 'version' | 'runtime' | 'run'> {
  readonly layers: readonly LayerState[]
  /** Whether the run has ended. */
  readonly finished: boolean
  /** Names of files that are damaged. */
  readonly damaged: readonly string[]
}

/** @returns null where the store holds no run with its plan */
export async function readState(store: Store): Promise<CheckpointState | null> {
  const bytes = await store.get(RUN)
  const file = bytes === null ? null : await readRun(bytes)
  const plan = parsed(await store.get(PLAN))
  if (file === null || !isPlan(plan)) return null
  const { version, runtime, run } = file
  const damaged: string[] = []
  const layers: LayerState[] = []
  for (const [index, planned] of plan.layers.entries()) {
    const text = await readText(store, layerName(index, planned.name, 'gpfq'), run, damaged)
    const report = parsed(await store.get(layerName(index, planned.name, 'json')))
    const number = (name: string): number | null => (text === null ? null : numberOf(report, run, name))
    const { name, inputs, neurons, groups } = planned
    layers.push({
      ...{ name, inputs, neurons, groups, levels: text?.quantized.levels ?? planned.levels },
      ...{ done: text !== null, seconds: text?.seconds ?? null },
      ...{ relativeError: number('relativeError'), sqnrDb: number('sqnrDb') },
      heldOutError: number('heldOutError'),
    })
  }
  const finished = field(parsed(await store.get(REPORT)), 'run') === run
  return { version, runtime, run, layers, finished, damaged }
}

/** The text of a layer's file, null where there is none of this run. */
async function readText(
  store: Store,
  name: string,
  run: string,
  damaged: string[],
): Promise<LayerText | null> {
  const bytes = await store.get(name)
  if (bytes === null) return null
  try {
    const text = layerText(name, bytes)
    return text.run === run ? text : null
  } catch {
    damaged.push(name)
    return null
  }
}

/** A number of a layer's report, if that is of the same run. */
function numberOf(report: unknown, run: string, name: string): number | null {
  const value = field(report, name)
  return field(report, 'run') === run && typeof value === 'number' ? value : null
}

interface PlanText {
  readonly layers: readonly Pick<LayerState, 'name' | 'inputs' | 'neurons' | 'groups' | 'levels'>[]
}

const isPlan = (plan: unknown): plan is PlanText => {
  const layers = field(plan, 'layers')
  return Array.isArray(layers) && layers.every(isPlanned)
}

const isPlanned = (layer: unknown): boolean =>
  typeof field(layer, 'name') === 'string' &&
  ['inputs', 'neurons', 'groups', 'levels'].every((name) => typeof field(layer, name) === 'number')
