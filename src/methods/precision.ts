/**
 * Mixed precision: which alphabet each layer gets when only so many bytes may be spent. From a table of errors and costs,
 * nothing else: pure and quick. A layer's error is the relative squared error of its output, ‖Y − Ỹ‖² / ‖Y‖², and the sum
 * over layers is what is made small, for noise that enters at different layers adds up in the squares.
 *
 * Greedy: every layer begins with its cheapest alphabet; of all further steps along the lower hulls of error over cost the
 * one that gains most per byte is taken, as long as it fits (optimal but for the last step that does not). Then exchanges:
 * as long as one layer's change, or one's together with another's, lowers the error within the budget, it is made.
 */

export interface PrecisionOption {
  readonly levels: number
  /** Bytes, or bits: whatever the budget is in. */
  readonly cost: number
  readonly error: number
}

export interface LayerOptions {
  readonly name: string
  /** Any order; at least one. A layer with one option is fixed. */
  readonly options: readonly PrecisionOption[]
}

export interface PrecisionPlan {
  /** The option chosen for each layer, by name. */
  readonly chosen: ReadonlyMap<string, PrecisionOption>
  readonly cost: number
  readonly error: number
  /** Cost and error after each greedy step, from the cheapest to the most exact: what other budgets would give. */
  readonly curve: readonly { readonly cost: number; readonly error: number }[]
}

/** @throws RangeError if the budget does not even pay for the cheapest alphabets */
export function choosePrecision(layers: readonly LayerOptions[], budget: number): PrecisionPlan {
  const hulls = layers.map(({ options }) => lowerHull(options))
  const least = hulls.reduce((sum, hull) => sum + hull[0]!.cost, 0)
  if (least > budget) {
    throw new RangeError(
      `budget: expected at least ${least}, for that is what the smallest alphabets take, got ${budget}`,
    )
  }
  const steps = hulls
    .flatMap((hull, layer) => hull.slice(1).map((to, i) => ({ layer, from: hull[i]!, to })))
    .sort((a, b) => gainOf(b) - gainOf(a) || a.layer - b.layer)
  const state = hulls.map((hull) => hull[0]!)
  const curve = [totals(state)]
  const stopped = new Set<number>()
  const reached = [...state]
  for (const { layer, to } of steps) {
    state[layer] = to
    curve.push(totals(state))
    if (stopped.has(layer)) continue
    const held = reached[layer]!
    reached[layer] = to
    if (totals(reached).cost <= budget) continue
    reached[layer] = held
    stopped.add(layer)
  }
  exchange(layers, reached, budget)
  return {
    chosen: new Map(layers.map(({ name }, i) => [name, reached[i]!])),
    ...totals(reached),
    curve,
  }
}

const gainOf = ({ from, to }: { from: PrecisionOption; to: PrecisionOption }): number =>
  (from.error - to.error) / (to.cost - from.cost)

function totals(state: readonly PrecisionOption[]): { cost: number; error: number } {
  return {
    cost: state.reduce((sum, { cost }) => sum + cost, 0),
    error: state.reduce((sum, { error }) => sum + error, 0),
  }
}

/** Options by rising cost and falling error, each gaining less per cost than the one before. */
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

/** Changes of one layer or of two that lower the error within the budget, best first, until there is none. */
function exchange(layers: readonly LayerOptions[], state: PrecisionOption[], budget: number): void {
  for (;;) {
    const room = budget - totals(state).cost
    const moves = layers.flatMap(({ options }, layer) =>
      options
        .filter((to) => to !== state[layer])
        .map((to) => ({
          layer,
          to,
          gain: state[layer]!.error - to.error,
          cost: to.cost - state[layer]!.cost,
        })),
    )
    let best: readonly (typeof moves)[number][] = []
    let most = 1e-12 // sums of errors are rounded
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
