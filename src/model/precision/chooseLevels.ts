/**
 * Mixed precision: chooses the alphabet of each layer within a budget, from a table of errors and costs alone. A layer's
 * error is squared and relative to the network's signal (errorWeights.ts). The choice minimizes the sum over layers,
 * because errors of different layers add up in squares.
 *
 * Greedy: every layer begins with its cheapest alphabet. Steps along the lower hulls of error over cost are taken in the
 * order of their gain per cost, as long as they fit. This is optimal except for the steps that do not fit.
 * Exchanges: then changes of one layer, or of two together, are made as long as one lowers the error within the budget.
 *
 * An alphabet can have a cost of its own, once, if any layer uses it (the digit table in the file). So the choice is
 * repeated with one alphabet less each time, the one whose absence increases the error least, and the best of all these
 * choices is kept.
 */

/** One alphabet for a layer, with its cost and the error of the layer. */
export interface PrecisionOption {
  readonly levels: number
  /** In the unit of the budget: bytes or bits. */
  readonly cost: number
  /** Squared, relative and weighted. */
  readonly error: number
}

/** A layer with its options. */
export interface LayerOptions {
  readonly name: string
  /** At least one, in any order. A layer with one option is fixed. */
  readonly options: readonly PrecisionOption[]
}

/** The result of the choice. */
export interface PrecisionPlan {
  /** The option chosen for each layer, by name. */
  readonly chosen: ReadonlyMap<string, PrecisionOption>
  readonly cost: number
  readonly error: number
  /** Cost and error after each greedy step, from the cheapest to the most exact: what other budgets would give. */
  readonly curve: readonly { readonly cost: number; readonly error: number }[]
}

/** The cost of each alphabet itself, by its levels: paid once, however many layers use it; 0 if it is missing. */
export type Tables = ReadonlyMap<number, number>

type Point = PrecisionPlan['curve'][number]

/**
 * Chooses one option for each layer.
 * @param budget in the unit of the costs
 * @throws RangeError if the cheapest alphabets cost more than the budget
 */
export function choosePrecision(
  layers: readonly LayerOptions[],
  budget: number,
  tables: Tables = new Map(),
): PrecisionPlan {
  const least = leastCost(layers, tables)
  if (least > budget) {
    throw new RangeError(
      `budget: expected at least ${least}, the cost of the smallest alphabets, got ${budget}`,
    )
  }
  let kept = layers
  let best: { layers: readonly LayerOptions[]; greedy: Greedy } | null = null
  for (;;) {
    const greedy = climb(kept, budget, tables)
    if (greedy !== null && (best === null || greedy.error < best.greedy.error - ROUNDED)) {
      best = { layers: kept, greedy }
    }
    const fewer = droppable(kept, tables).map((levels) => without(kept, levels))
    if (fewer.length === 0) break
    const errors = fewer.map((those) => climb(those, budget, tables)?.error ?? Number.POSITIVE_INFINITY)
    const most = errors.every((error) => error === Number.POSITIVE_INFINITY)
    // If nothing fits yet, the alphabet with the most expensive table goes first.
    kept = fewer[most ? dearest(droppable(kept, tables), tables) : errors.indexOf(Math.min(...errors))]!
  }
  const cheapest = layers.map(({ options }) => lowerHull(options)[0]!)
  const { state, curve } = best?.greedy ?? { state: cheapest, curve: [totals(cheapest, tables)] }
  exchange(best?.layers ?? layers, state, budget, tables)
  return {
    chosen: new Map(layers.map(({ name }, i) => [name, state[i]!])),
    ...totals(state, tables),
    curve,
  }
}

/** The cost of the cheapest option of every layer, with the tables that they need. */
export function leastCost(layers: readonly LayerOptions[], tables: Tables): number {
  return totals(
    layers.map(({ options }) => lowerHull(options)[0]!),
    tables,
  ).cost
}

/** Smallest gain that counts: smaller differences can be rounding errors of the sums. */
const ROUNDED = 1e-12

/** Alphabets with a table that can be given up: some layer has the option, and every layer has another one. */
const droppable = (layers: readonly LayerOptions[], tables: Tables): readonly number[] =>
  [...tables]
    .filter(([levels, cost]) => cost > 0 && layers.some(({ options }) => hasLevels(options, levels)))
    .map(([levels]) => levels)
    .filter((levels) => layers.every(({ options }) => options.some((option) => option.levels !== levels)))

const hasLevels = (options: readonly PrecisionOption[], levels: number): boolean =>
  options.some((option) => option.levels === levels)

const without = (layers: readonly LayerOptions[], levels: number): readonly LayerOptions[] =>
  layers.map(({ name, options }) => ({ name, options: options.filter((option) => option.levels !== levels) }))

function dearest(levels: readonly number[], tables: Tables): number {
  const costs = levels.map((entry) => tables.get(entry) ?? 0)
  return costs.indexOf(Math.max(...costs))
}

interface Greedy {
  readonly state: PrecisionOption[]
  readonly curve: readonly Point[]
  readonly error: number
}

/** The greedy steps, with the tables of all alphabets of the options paid for; null if the first state does not fit. */
function climb(layers: readonly LayerOptions[], budget: number, tables: Tables): Greedy | null {
  const all = new Set(layers.flatMap(({ options }) => options.map(({ levels }) => levels)))
  const paid = [...all].reduce((sum, levels) => sum + (tables.get(levels) ?? 0), 0)
  const hulls = layers.map(({ options }) => lowerHull(options))
  const steps = hulls
    .flatMap((hull, layer) => hull.slice(1).map((to, i) => ({ layer, from: hull[i]!, to })))
    .sort((a, b) => gainOf(b) - gainOf(a) || a.layer - b.layer)
  const state = hulls.map((hull) => hull[0]!)
  let at = sums(state)
  if (at.cost + paid > budget) return null
  let held = at
  const curve = [{ cost: at.cost + paid, error: at.error }]
  const stopped = new Set<number>()
  for (const { layer, from, to } of steps) {
    at = moved(at, from, to)
    curve.push({ cost: at.cost + paid, error: at.error })
    if (stopped.has(layer)) continue
    const next = moved(held, from, to)
    if (next.cost + paid <= budget) {
      state[layer] = to
      held = next
    } else stopped.add(layer)
  }
  return { state, curve, error: held.error }
}

const moved = ({ cost, error }: Point, from: PrecisionOption, to: PrecisionOption): Point => ({
  cost: cost + to.cost - from.cost,
  error: error + to.error - from.error,
})

const gainOf = ({ from, to }: { from: PrecisionOption; to: PrecisionOption }): number =>
  (from.error - to.error) / (to.cost - from.cost)

const sums = (state: readonly PrecisionOption[]): Point => ({
  cost: state.reduce((sum, { cost }) => sum + cost, 0),
  error: state.reduce((sum, { error }) => sum + error, 0),
})

/** Cost and error of a state, with the tables of the alphabets in use. */
function totals(state: readonly PrecisionOption[], tables: Tables): Point {
  const { cost, error } = sums(state)
  const used = new Set(state.map(({ levels }) => levels))
  return { cost: [...used].reduce((sum, levels) => sum + (tables.get(levels) ?? 0), cost), error }
}

/** Options in ascending order of cost and descending order of error, each with less gain per cost than the one before. */
function lowerHull(options: readonly PrecisionOption[]): PrecisionOption[] {
  const hull: PrecisionOption[] = []
  for (const option of [...options].sort((a, b) => a.cost - b.cost || a.error - b.error)) {
    if (hull.length > 0 && option.error >= hull.at(-1)!.error) continue
    while (hull.length > 1) {
      const [before, last] = hull.slice(-2) as [PrecisionOption, PrecisionOption]
      if (gainOf({ from: before, to: last }) > gainOf({ from: last, to: option })) break
      hull.pop()
    }
    hull.push(option)
  }
  return hull
}

/** Makes the change of one layer or of two that lowers the error most within the budget, until there is none. */
function exchange(
  layers: readonly LayerOptions[],
  state: PrecisionOption[],
  budget: number,
  tables: Tables,
): void {
  for (;;) {
    const used = new Set(state.map(({ levels }) => levels))
    const room = budget - totals(state, tables).cost
    const moves = layers.flatMap(({ options }, layer) =>
      options
        .filter((to) => to !== state[layer])
        .map((to) => ({
          layer,
          to,
          gain: state[layer]!.error - to.error,
          // The cost includes a table that the change needs. A table that it leaves unused is credited in the next round.
          cost: to.cost - state[layer]!.cost + (used.has(to.levels) ? 0 : (tables.get(to.levels) ?? 0)),
        })),
    )
    let best: readonly (typeof moves)[number][] = []
    let most = ROUNDED
    for (const one of moves) {
      if (one.cost <= room && one.gain > most) [best, most] = [[one], one.gain]
      if (one.gain <= most) continue
      for (const two of moves) {
        if (two.layer === one.layer || two.gain > 0) continue
        if (one.cost + two.cost <= room && one.gain + two.gain > most)
          [best, most] = [[one, two], one.gain + two.gain]
      }
    }
    if (best.length === 0) return
    for (const { layer, to } of best) state[layer] = to
  }
}
