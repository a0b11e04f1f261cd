/**
 * Mixed precision of a model: a budget in bytes or bits, what every layer loses and costs at 2 to 8 bits, and the levels
 * that follow. Layers named in levelsFor keep theirs. The choice itself is in methods/precision.ts.
 */
import { surveyedLevels } from './calibration/survey.js'
import {
  choosePrecision,
  type LayerOptions,
  leastCost,
  type PrecisionPlan,
  type Tables,
} from './methods/precision.js'
import { type PreparedModel, withLevels } from './modelPlan.js'
import { digitTableBytes, planPacking } from './onnx/formats/packed.js'
import type { PrecisionReport } from './options.js'
import type { Settings } from './settings.js'

/** Whether the levels of the layers are still to be chosen. */
export const hasBudget = ({ targetSize, targetBits }: Settings): boolean =>
  targetSize !== null || targetBits !== null

/**
 * @param errors of each layer at each of surveyedLevels, squared and weighted, by layer name
 * @returns the model with the levels chosen, and what there is to say about it
 */
export function applyBudget(
  prepared: PreparedModel,
  errors: ReadonlyMap<string, readonly number[]>,
): { readonly prepared: PreparedModel; readonly report: PrecisionReport } {
  const { layers, settings } = prepared
  const bySize = settings.targetSize !== null
  const weightsOf = (i: number): number => layers[i]!.bytesIn / 4
  const surveyed = surveyedLevels(settings)
  const variants = surveyed.map((levels) =>
    withLevels(prepared, new Map(layers.map(({ layer }) => [layer.name, levels]))),
  )
  const options = layers.map((planned, i) => {
    const own = surveyed.map((levels, v) => ({
      levels,
      cost: bySize ? variants[v]!.layers[i]!.bytesOut : weightsOf(i) * Math.log2(levels + 1),
      error: errors.get(planned.layer.name)![v]!,
    }))
    const open = planned.fixed ? own.filter(({ levels }) => levels === planned.levels) : own
    const cost = bySize ? planned.bytesOut : weightsOf(i) * Math.log2(planned.levels + 1)
    const fixed = { levels: planned.levels, cost, error: 0 }
    return { name: planned.layer.name, options: open.length > 0 ? open : [fixed] }
  })
  const total = layers.reduce((sum, _, i) => sum + weightsOf(i), 0)
  const unit = bySize ? 4 * total : total
  const target = settings.targetSize ?? settings.targetBits ?? 1
  const plan = choose(options, target, unit, bySize ? digitTables([prepared, ...variants]) : new Map())
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

/** Bytes of the digit table that the file holds once for each alphabet of packed codes, in any of some plans. */
function digitTables(plans: readonly PreparedModel[]): Tables {
  const tables = new Map<number, number>()
  for (const { levels, format, bytesIn } of plans.flatMap(({ layers }) => layers)) {
    if (format !== 'packed') continue
    const bytes = digitTableBytes(levels, planPacking(levels, bytesIn / 4))
    tables.set(levels, Math.max(bytes, tables.get(levels) ?? 0))
  }
  return tables
}

function choose(
  layers: readonly LayerOptions[],
  target: number,
  unit: number,
  tables: Tables,
): PrecisionPlan {
  const least = leastCost(layers, tables)
  if (least > target * unit) {
    const needed = Math.ceil((1000 * least) / unit) / 1000
    throw new RangeError(
      `target: expected at least ${needed}, which is what 2 bits everywhere take, got ${target}; ` +
        'or exclude no layers, or use larger groups of scales',
    )
  }
  return choosePrecision(layers, target * unit, tables)
}
