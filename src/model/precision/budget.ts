/**
 * Mixed precision of a model: from a budget in bytes or bits, and the error and cost of every layer at 2 to 8 bits, to a
 * plan with levels for each layer. Layers of levelsFor keep theirs. chooseLevels.ts makes the choice.
 */
import { rangeError } from '../../checks.js'
import { digitTableBytes, planPacking } from '../../onnx/formats/packed.js'
import type { ModelPlan, PlanLayer, PrecisionReport } from '../../options.js'
import { withLevels } from '../plan.js'
import type { PlannedModel } from '../preparedModel.js'
import type { Settings } from '../settings.js'
import { choosePrecision, type LayerOptions, leastCost, type Tables } from './chooseLevels.js'
import { surveyedLevels } from './survey.js'

/** Whether the levels of the layers are still to be chosen. */
export const hasBudget = ({ targetSize, targetBits }: Settings): boolean =>
  targetSize !== null || targetBits !== null

/** The input of the choice: the options of each layer and the budget. Costs are in bytes or in bits. */
interface Budget {
  readonly layers: readonly LayerOptions[]
  readonly tables: Tables
  readonly target: number // as the caller gave it
  /** The cost of a target of 1: all float weights in bytes, or one bit for each weight. */
  readonly unit: number
}

/** The plan with other levels for some layers. */
function planWith({ plan, graph, layers }: PlannedModel, levels: ReadonlyMap<string, number>): ModelPlan {
  const layersOf = new Map(layers.map(({ name, layer }) => [name, layer]))
  return withLevels(plan, graph, layersOf, levels)
}

/** @param errorOf the error of a layer at the v-th of surveyedLevels */
function budgetOf(planned: PlannedModel, errorOf: (layer: string, v: number) => number): Budget {
  const { plan } = planned
  const { settings, layers } = plan
  const bySize = settings.targetSize !== null
  const surveyed = surveyedLevels(settings)
  const variants = surveyed.map((levels) =>
    planWith(planned, new Map(layers.map(({ name }) => [name, levels]))),
  )
  const costOf = (layer: PlanLayer): number =>
    bySize ? layer.bytesOut : weightCount(layer) * Math.log2(layer.levels + 1)
  const sum = (of: (layer: PlanLayer) => number): number =>
    layers.reduce((total, layer) => total + of(layer), 0)
  return {
    layers: layers.map((layer, i) => {
      const own = surveyed.map((levels, v) => ({
        levels,
        cost: costOf(variants[v]!.layers[i]!),
        error: errorOf(layer.name, v),
      }))
      const open =
        layer.fixed || layer.rounded !== null ? own.filter(({ levels }) => levels === layer.levels) : own
      const fixed = { levels: layer.levels, cost: costOf(layer), error: 0 }
      return { name: layer.name, options: open.length > 0 ? open : [fixed] }
    }),
    tables: bySize ? digitTables([plan, ...variants]) : new Map(),
    target: settings.targetSize ?? settings.targetBits ?? 1,
    unit: bySize ? sum(({ bytesIn }) => bytesIn) : sum(weightCount),
  }
}

const weightCount = ({ groups, inputs, neurons }: PlanLayer): number => groups * inputs * neurons

/**
 * Checks that the smallest alphabets fit the budget. This needs no samples.
 * @throws RangeError with the smallest budget
 */
export function checkBudget(planned: PlannedModel): void {
  const { layers, tables, target, unit } = budgetOf(planned, () => 0)
  const least = leastCost(layers, tables)
  if (least <= target * unit) return
  throw rangeError(
    planned.plan.settings.targetSize === null ? 'targetBits' : 'targetSize',
    `at least ${Math.ceil((1000 * least) / unit) / 1000}, which is what the smallest alphabets take (where levelsFor names no ` +
      'others)',
    target,
    'or use larger groups of scales',
  )
}

/**
 * Chooses the levels of each layer.
 * @param errors weighted squared errors of each layer, one for each of surveyedLevels, by layer name
 * @returns the model with the chosen levels, and the report of the choice
 */
export function applyBudget(
  planned: PlannedModel,
  errors: ReadonlyMap<string, readonly number[]>,
): { readonly planned: PlannedModel; readonly report: PrecisionReport } {
  const { layers, tables, target, unit } = budgetOf(planned, (name, v) => errors.get(name)?.[v] ?? 0)
  const choice = choosePrecision(layers, target * unit, tables)
  const chosen = new Map([...choice.chosen].map(([name, { levels }]) => [name, levels]))
  return {
    planned: replanned(planned, planWith(planned, chosen)),
    report: {
      unit: planned.plan.settings.targetSize === null ? 'bits' : 'size',
      target,
      reached: choice.cost / unit,
      error: choice.error,
      curve: choice.curve.map(({ cost, error }) => ({ at: cost / unit, error })),
    },
  }
}

function replanned(planned: PlannedModel, plan: ModelPlan): PlannedModel {
  const layers = planned.layers.map((layer, i) => ({ ...layer, ...plan.layers[i]! }))
  return { ...planned, plan, layers, byName: new Map(layers.map((layer) => [layer.name, layer])) }
}

/** Bytes of the digit table that a file holds once for each alphabet of packed codes: the largest over the plans. */
function digitTables(plans: readonly ModelPlan[]): Tables {
  const tables = new Map<number, number>()
  for (const layer of plans.flatMap(({ layers }) => layers)) {
    if (layer.format !== 'packed') continue
    const { levels } = layer
    const bytes = digitTableBytes(levels, planPacking(levels, weightCount(layer)))
    tables.set(levels, Math.max(bytes, tables.get(levels) ?? 0))
  }
  return tables
}
