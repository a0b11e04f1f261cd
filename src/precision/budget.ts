/**
 * Mixed precision of a model: a budget in bytes or bits, what every layer loses and costs at 2 to 8 bits, and the levels
 * that follow. Layers named in levelsFor keep theirs. The choice itself is in methods/precision.ts.
 */

import { type PlannedLayer, type PreparedModel, withLevels } from '../model/plan.js'
import type { Settings } from '../model/settings.js'
import { digitTableBytes, planPacking } from '../onnx/formats/packed.js'
import type { Layer } from '../onnx/layer.js'
import type { PrecisionReport } from '../options.js'
import { choosePrecision, type LayerOptions, leastCost, type Tables } from './chooseLevels.js'
import { surveyedLevels } from './survey.js'

/** Whether the levels of the layers are still to be chosen. */
export const hasBudget = ({ targetSize, targetBits }: Settings): boolean =>
  targetSize !== null || targetBits !== null

/** What there is to choose from: each layer's costs, in bytes or bits, and what is spent at most. */
interface Budget {
  readonly layers: readonly LayerOptions[]
  readonly tables: Tables
  readonly target: number
  /** What a target of 1 would be. */
  readonly unit: number
}

/** @param errorOf of a layer at the v-th of surveyedLevels */
function budgetOf(prepared: PreparedModel, errorOf: (layer: string, v: number) => number): Budget {
  const { layers, settings } = prepared
  const bySize = settings.targetSize !== null
  const surveyed = surveyedLevels(settings)
  const variants = surveyed.map((levels) =>
    withLevels(prepared, new Map(layers.map(({ layer }) => [layer.name, levels]))),
  )
  const costOf = ({ layer, levels, bytesOut }: PlannedLayer): number =>
    bySize ? bytesOut : weightCount(layer) * Math.log2(levels + 1)
  const sum = (of: (planned: PlannedLayer) => number): number =>
    layers.reduce((total, planned) => total + of(planned), 0)
  return {
    layers: layers.map((planned, i) => {
      const { name } = planned.layer
      const own = surveyed.map((levels, v) => ({
        levels,
        cost: costOf(variants[v]!.layers[i]!),
        error: errorOf(name, v),
      }))
      const open = planned.fixed ? own.filter(({ levels }) => levels === planned.levels) : own
      const fixed = { levels: planned.levels, cost: costOf(planned), error: 0 }
      return { name, options: open.length > 0 ? open : [fixed] }
    }),
    tables: bySize ? digitTables([prepared, ...variants]) : new Map(),
    target: settings.targetSize ?? settings.targetBits ?? 1,
    unit: bySize ? sum(({ bytesIn }) => bytesIn) : sum(({ layer }) => weightCount(layer)),
  }
}

const weightCount = ({ groups, inputs, neurons }: Layer): number => groups * inputs * neurons

/**
 * Whether the smallest alphabets fit the budget: known without any sample.
 * @throws RangeError
 */
export function checkBudget(prepared: PreparedModel): void {
  const { layers, tables, target, unit } = budgetOf(prepared, () => 0)
  const least = leastCost(layers, tables)
  if (least <= target * unit) return
  throw new RangeError(
    `${prepared.settings.targetSize === null ? 'targetBits' : 'targetSize'}: expected at least ${Math.ceil((1000 * least) / unit) / 1000}, ` +
      `which is what the smallest alphabets take (where levelsFor names no others), got ${target}; or use larger groups of scales`,
  )
}

/**
 * @param errors of each layer at each of surveyedLevels, squared and weighted, by layer name
 * @returns the model with the levels chosen, and what there is to say about it
 */
export function applyBudget(
  prepared: PreparedModel,
  errors: ReadonlyMap<string, readonly number[]>,
): { readonly prepared: PreparedModel; readonly report: PrecisionReport } {
  const { layers, tables, target, unit } = budgetOf(prepared, (name, v) => errors.get(name)![v]!)
  const plan = choosePrecision(layers, target * unit, tables)
  const chosen = new Map([...plan.chosen].map(([name, { levels }]) => [name, levels]))
  return {
    prepared: withLevels(prepared, chosen),
    report: {
      unit: prepared.settings.targetSize === null ? 'bits' : 'size',
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
  for (const { levels, format, layer } of plans.flatMap(({ layers }) => layers)) {
    if (format !== 'packed') continue
    const bytes = digitTableBytes(levels, planPacking(levels, weightCount(layer)))
    tables.set(levels, Math.max(bytes, tables.get(levels) ?? 0))
  }
  return tables
}
