/**
 * Every method against its float64 twin on the golden layers (../../shared/golden), whose weights, samples and scales come
 * from outside of this project: dense layers, convolutions with and without groups, and convolutions channel by channel.
 * test/golden.test.ts compares plain GPFQ with the golden codes themselves.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { scalesFor, zeroPoint } from '#src/methods/alphabet.js'
import { resolveRecipe } from '#src/methods/recipe.js'
import type { MethodOptions } from '#src/options.js'
import { createEngine, type OwnEngine } from '../engine/engine.js'
import { type Entry, entries, FOLDER, type Golden, load, present, solve } from '../goldenLayers.js'
import type { Quantized } from './observeAndSolve.js'
import {
  type Chosen,
  countNearTies,
  type Decide,
  descends,
  orderOf,
  type TwinLayer,
  withMatrices,
} from './twin.js'
import { METHOD_CASES, preprocessed, replayBeacon } from './twins.js'

let engine: OwnEngine | undefined
beforeAll(async () => {
  if (present) engine = await createEngine(2)
})
afterAll(() => engine?.pool.close())

const max = { rule: 'max' } as const

const floats = (values: ArrayLike<number>): Float32Array =>
  values instanceof Float32Array ? values : Float32Array.from(values)

/** The groups of a golden layer as twins see them. */
function groupsOf({ inputs, neurons, rows, weights, xq, samples }: Golden): TwinLayer[] {
  return samples.map((own, g) => {
    const problem = {
      ...{ inputs, neurons, samples: floats(own.x) },
      weights: weights.subarray(g * inputs * neurons, (g + 1) * inputs * neurons),
    }
    return withMatrices(xq === null ? problem : { ...problem, quantizedSamples: floats(own.xq) }, rows)
  })
}

async function quantize(golden: Golden, levels: number, options: MethodOptions): Promise<Quantized> {
  if (engine === undefined) throw new Error('golden: expected an engine, got none')
  return solve(engine, golden, levels, resolveRecipe({ radius: max, ...options }))
}

/** The part of a solution that belongs to a group. */
function chosenOf(golden: Golden, { solutions }: Quantized, levels: number, g: number): Chosen {
  const { inputs, neurons, scales } = golden
  const [solution] = solutions
  if (solution === undefined) throw new Error('golden: expected a solution, got none')
  const [codes, blocks] = [inputs * neurons, scales.blocks * neurons]
  return {
    codes: solution.codes.subarray(g * codes, (g + 1) * codes),
    scales: solution.scales.subarray(g * blocks, (g + 1) * blocks),
    blockSize: scales.blockSize,
    zero: zeroPoint(levels),
  }
}

interface Given {
  readonly name: string
  readonly entry: Entry
  readonly golden: Golden
  readonly groups: readonly TwinLayer[]
}

const given = (entry: Entry, perChannel: boolean): Given => {
  const golden = load(entry, perChannel)
  return {
    name: `${entry.name}${perChannel ? ', per channel' : ''}`,
    entry,
    golden,
    groups: groupsOf(golden),
  }
}

/** Convolutions of several channels are tested a second time, with a path for each channel. */
const all: readonly Given[] = entries.flatMap((entry) =>
  (entry.weight?.[1] ?? 1) > 1 ? [given(entry, false), given(entry, true)] : [given(entry, false)],
)

describe.skipIf(!present)('golden layers', () => {
  for (const { name, entry, golden, groups } of all) {
    const { levels } = entry
    const { neurons, rows, inputs } = golden
    // Share of neurons in which float32 can round differently: one in twenty with 256 levels, few with fewer levels.
    const allowed = 1 + (levels > 16 ? 0.2 : 0.05) * groups.length * neurons
    const layersOf = (result: Quantized): [TwinLayer, Chosen, number][] =>
      groups.map((layer, g) => [layer, chosenOf(golden, result, levels, g), g])

    describe(name, () => {
      const cases = METHOD_CASES.filter(({ options }) => levels % 2 === 1 || options.sparsity === undefined)
      for (const { name: method, options, twin, decide } of cases) {
        it(`by ${method}`, async () => {
          const result = await quantize(golden, levels, options)
          expect(result.notes).toEqual([])
          let ties = 0
          for (const [layer, chosen, g] of layersOf(result)) {
            // Random numbers depend on the neuron's number over all groups, each rounded up to whole panels.
            const first = 8 * Math.ceil(neurons / 8) * g
            const own: Decide | undefined = decide && ((steps, t, k) => decide(steps, t, first + k))
            const order = orderOf(layer, descends({ radius: max, ...options }))
            ties += countNearTies(layer, chosen, levels, order, twin, own)
          }
          expect(ties).toBeLessThanOrEqual(allowed)
        })
      }

      it('by beacon', async () => {
        const shape = { groups: groups.length, inputs, neurons }
        const scales = scalesFor(golden.weights, shape, levels, 'neuron', { rule: 'max' })
        let before: Quantized | null = null
        for (const passes of [0, 1]) {
          const result = await quantize({ ...golden, scales }, levels, { method: 'beacon', passes })
          for (const [layer, found, g] of layersOf(result)) {
            const chosen = { ...found, scales: result.solutions[0]!.scales.subarray(g * neurons) } // one block
            const codes = before && chosenOf(golden, before, levels, g).codes
            const { regret, scaleError } = replayBeacon(layer, chosen, codes)
            expect(regret).toBeLessThan(1e-6)
            expect(scaleError).toBeLessThan(1e-5)
          }
          before = result
        }
      })

      // With hundreds of samples the twin's walk of all neurons takes a minute.
      it.skipIf(rows >= inputs || rows > 100)('by msq after the vertex walk', async () => {
        const result = await quantize(golden, levels, { method: 'msq', preprocess: true })
        for (const [layer, chosen] of layersOf(result)) {
          const order = orderOf(layer, false)
          expect(countNearTies(layer, chosen, levels, order, preprocessed(levels))).toBeLessThanOrEqual(
            allowed,
          )
        }
      })
    })
  }
})

if (!present) it.skip(`golden layers: there is no ${FOLDER.pathname}index.json`, () => {})
