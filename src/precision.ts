/**
 * Mixed precision of a model: a budget in bytes or bits, what every layer loses and costs at 2 to 8 bits, and the levels
 * that follow. Layers named in levelsFor keep theirs. The choice itself is in methods/precision.ts.
 */
import { SURVEYED } from './calibration/survey.js'
import { choosePrecision, type PrecisionPlan } from './methods/precision.js'
import { type PreparedModel, withLevels } from './modelPlan.js'
import type { PrecisionReport } from './options.js'
import type { Settings } from './settings.js'

/** Whether the levels of the layers are still to be chosen. */
export const hasBudget = ({ targetSize, targetBits }: Settings): boolean =>
  targetSize !== null || targetBits !== null

/**
 * @param errors relative output error of each layer at each of SURVEYED, by layer name
 * @returns the model with the levels chosen, and what there is to say about it
 */
export function applyBudget(
  prepared: PreparedModel,
  errors: ReadonlyMap<string, readonly number[]>,
): { readonly prepared: PreparedModel; readonly report: PrecisionReport } {
  const { layers, settings } = prepared
  const bySize = settings.targetSize !== null
  const weightsOf = (i: number): number => layers[i]!.bytesIn / 4
  const variants = SURVEYED.map((levels) =>
    withLevels(prepared, new Map(layers.map(({ layer }) => [layer.name, levels]))),
  )
  const tables = layers.map((planned, i) => {
    const options = SURVEYED.map((levels, v) => ({
      levels,
      cost: bySize ? variants[v]!.layers[i]!.bytesOut : weightsOf(i) * Math.log2(levels + 1),
      error: errors.get(planned.layer.name)![v]! ** 2,
    }))
    const own = planned.fixed ? options.filter(({ levels }) => levels === planned.levels) : options
    const fixed = { levels: planned.levels, cost: planned.bytesOut, error: 0 }
    return { name: planned.layer.name, options: own.length > 0 ? own : [fixed] }
  })
  const total = layers.reduce((sum, _, i) => sum + weightsOf(i), 0)
  const unit = bySize ? 4 * total : total
  const target = settings.targetSize ?? settings.targetBits ?? 1
  const plan = choose(tables, target, unit)
  const chosen = new Map([...plan.chosen].map(([name, { levels }]) => [name, levels]))
  return {
    prepared: withLevels(prepared, chosen),
    report: {
      unit: bySize ? 'size' : 'bits',
      target,
      reached: plan.cost / unit,
      error: plan.error,
      curve: plan.curve.map(({ cost, error }) => ({ at: cost / unit, error })),
    },
  }
}

function choose(tables: Parameters<typeof choosePrecision>[0], target: number, unit: number): PrecisionPlan {
  const least = tables.reduce((sum, { options }) => sum + Math.min(...options.map(({ cost }) => cost)), 0)
  if (least > target * unit) {
    const needed = Math.ceil((1000 * least) / unit) / 1000
    throw new RangeError(
      `target: expected at least ${needed}, which is what 2 bits everywhere take, got ${target}; ` +
        'or exclude no layers, or use larger groups of scales',
    )
  }
  return choosePrecision(tables, target * unit)
}
