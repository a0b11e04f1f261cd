/** Whether a checkpoint is of the run at hand; if not, what differs. */
import { GpfqError } from '../../errors.js'
import { HINTS } from '../../hints.js'
import type { ModelPlan } from '../../options.js'
import { comparable } from './identity.js'
import type { RunFacts } from './names.js'

type Known = Partial<RunFacts>

/**
 * @param known what the checkpoint says
 * @param own what the run at hand says, as far as it is known
 * @param stored the plan in the checkpoint, from JSON
 * @param plan that of the run
 * @throws GpfqError CHECKPOINT_DIFFERS
 */
export function checkSame(known: Known, own: Known, stored?: unknown, plan?: ModelPlan): void {
  const differs = (name: keyof RunFacts): boolean => own[name] !== undefined && own[name] !== known[name]
  if (differs('version')) throw failure('version of gpfq', String(known.version), String(own.version))
  if (differs('model')) throw failure('model', 'the one that it was begun with', 'another one')
  if (differs('plan') && plan !== undefined) throw planFailure(stored, plan)
  if (differs('runtime')) throw failure('runtime', String(known.runtime), String(own.runtime))
  if (differs('fastMath')) throw failure('fastMath', String(known.fastMath), String(own.fastMath))
  if (differs('samples')) throw failure('calibration samples', 'those that it was begun with', 'others')
  if (differs('heldOut'))
    throw failure('samples that judge the layers', 'those that it was begun with', 'others')
}

const failure = (what: string, expected: string, got: string): GpfqError =>
  new GpfqError('CHECKPOINT_DIFFERS', {
    ...{ place: `checkpoint, ${what}`, expected, got },
    hint: HINTS['same-or-restart'],
  })

/** Names the options that differ, some perhaps because they follow from another, or else the first value of the plan. */
function planFailure(stored: unknown, plan: ModelPlan): GpfqError {
  const own: unknown = JSON.parse(JSON.stringify(comparable(plan)))
  const found = differencesOf(stored, own, [])
  const options = found.filter(({ path }) => path[0] === 'settings')
  const [first] = found
  if (first === undefined) return failure('options', 'those that it was begun with', 'others')
  if (options.length === 0)
    return failure(`plan, ${first.path.join(' ')}`, textOf(first.stored), textOf(first.own))
  return failure(
    `${options.length === 1 ? 'option' : 'options'} ${options.map(({ path }) => path[1]).join(', ')}`,
    options.map((option) => textOf(option.stored)).join(', '),
    options.map((option) => textOf(option.own)).join(', '),
  )
}

interface Difference {
  readonly path: readonly string[]
  readonly stored: unknown
  readonly own: unknown
}

/** The values of `own` that `stored` has others for. An option is compared as a whole. */
function differencesOf(stored: unknown, own: unknown, path: readonly string[]): readonly Difference[] {
  const isOption = path.length === 2 && path[0] === 'settings'
  if (isOption || !isObject(own) || !isObject(stored))
    return JSON.stringify(stored) === JSON.stringify(own) ? [] : [{ path, stored, own }]
  return Object.keys(own).flatMap((name) =>
    differencesOf(Reflect.get(stored, name), Reflect.get(own, name), [...path, name]),
  )
}

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null

/** Characters of a value that an error shows. */
const SHOWN = 80

function textOf(value: unknown): string {
  const text = JSON.stringify(value) ?? 'none'
  return text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text
}
