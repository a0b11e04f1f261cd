/**
 * The ridge, `damping` of the methods that factor nothing and `ridge` of solve for all, against the twin that writes it as
 * further samples. Every twin of a method then sees the ridge, without knowing of it.
 */
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { resolveRecipe } from '#src/methods/recipe.js'
import type { MethodOptions } from '#src/options.js'
import type { LayerOptions } from '#src/quantizer.js'
import { multiplyVector } from '#src/reference/descend.js'
import {
  damped,
  factorUnitLower,
  gptqTarget,
  nearestPlane,
  qronosTarget,
} from '#src/reference/nearestPlane.js'
import { withRidge } from '#src/reference/ridge.js'
import { createEngine, type OwnEngine } from '../engine/engine.js'
import { type Dense, randomDense, requestFor, solve } from './dense.js'
import {
  countNearTies,
  descends,
  layerCases,
  layerOf,
  openQuantizers,
  orderOf,
  quantizeEverywhere,
  type Twin,
  type TwinLayer,
  withMatrices,
} from './twin.js'
import { countBeaconTies, METHOD_CASES } from './twins.js'

const quantizers = await openQuantizers(1, 2)
const [quantizer] = quantizers

let engine: OwnEngine
beforeAll(async () => {
  engine = await createEngine(2)
})
afterAll(() => engine.pool.close())

const max = { rule: 'max' } as const

/** The layer whose samples end with the ridge. */
function ridged(layer: TwinLayer, share: number): TwinLayer {
  const { rows, inputs, samples, quantizedSamples } = layer
  const xq = quantizedSamples ?? samples
  const more = (x: Float32Array): Float32Array => withRidge(x, xq, inputs, share)
  return withMatrices(
    {
      ...layer,
      samples: more(samples),
      ...(quantizedSamples === undefined ? {} : { quantizedSamples: more(quantizedSamples) }),
    },
    rows + inputs,
  )
}

const SHARES = fc.constantFrom(0.01, 0.3, 1, 10)

const OWN = ['gptq', 'qronos']
const dampsItself = ({ method, preset }: MethodOptions): boolean =>
  OWN.includes(method ?? (preset === 'best' ? 'qronos' : 'gpfq'))

/** H and G as the ridge leaves them, and the damping of gptq and qronos, which is 1 % of the mean of diag H itself. */
function planeOf({ h }: TwinLayer, own: Float64Array, inputs: number): ReturnType<typeof factorUnitLower> {
  const lambda = damped(h, inputs, 0.01)[0]! - h[0]!
  const sum = own.map((v, i) => (i % (inputs + 1) === 0 ? v + lambda : v))
  return factorUnitLower(sum, inputs)
}

const twinOf =
  (layer: TwinLayer, method: string): Twin =>
  ({ h, g, w, choose }) => {
    const plane = planeOf(layer, h, w.length)
    if (method === 'gptq') return nearestPlane(plane, gptqTarget(plane, w), choose).chosen
    const hw = multiplyVector(h, w)
    const difference = multiplyVector(g, w).map((gw, t) => gw - hw[t]!)
    return nearestPlane(plane, qronosTarget(plane, h, difference, w), choose).chosen
  }

const denseOf = ({ rows, inputs, neurons, weights, samples, quantizedSamples }: TwinLayer): Dense => ({
  ...{ rows, inputs, neurons, weights, x: samples, xq: quantizedSamples ?? null },
})

describe('damping of H and G', () => {
  it.each(METHOD_CASES.filter(({ options }) => !dampsItself(options)))(
    'gives the codes of the twin on the samples with the ridge, $name',
    async ({ options, twin, decide }) => {
      let [neurons, ties] = [0, 0]
      await fc.assert(
        fc.asyncProperty(
          layerCases,
          fc.constantFrom(4, 7, 15),
          SHARES,
          fc.constantFrom(max, { rule: 'search' as const }),
          async (given, count, damping, radius) => {
            const levels = options.sparsity === undefined ? count : 7
            const layer = layerOf(given)
            const all: MethodOptions & { radius: typeof radius } = {
              ...options,
              damping,
              radius,
            } as typeof all
            const result = await quantizeEverywhere(quantizers, layer, { ...all, levels })
            const order = orderOf(layer, descends(all))
            ties += countNearTies(ridged(layer, damping), result, levels, order, twin, decide)
            neurons += given.neurons
          },
        ),
        { seed: 271, numRuns: 15 },
      )
      expect(ties).toBeLessThan(0.03 * neurons)
    },
  )

  it('gives the codes and the scales of beacon’s twin', async () => {
    let [neurons, ties] = [0, 0]
    await fc.assert(
      fc.asyncProperty(layerCases, fc.constantFrom(3, 7, 15), SHARES, async (given, levels, damping) => {
        // With one weight left, every scale of it has the same direction.
        const layer = layerOf({ ...given, zeros: Math.min(0.4, given.zeros ?? 0) })
        const options = { method: 'beacon' as const, levels, damping, passes: 2 }
        ties += countBeaconTies(
          ridged(layer, damping),
          await quantizeEverywhere(quantizers, layer, options),
          levels,
          2,
        )
        neurons += given.neurons
      }),
      { seed: 272, numRuns: 30 },
    )
    expect(ties).toBeLessThan(0.05 * neurons)
  })

  it.each([
    { method: 'gpfq' },
    { method: 'gpfq', passes: 2 },
    { method: 'msq' },
    { method: 'msq', passes: 2 },
  ] as const)('searches the scales that it would find on samples with the ridge, %j', async (options) => {
    let [neurons, other] = [0, 0]
    for (let seed = 0; seed < 8; seed++) {
      const layer = layerOf({ rows: 60, inputs: 50, neurons: 12, same: seed % 2 === 0, seed, zeros: 0.3 })
      const own = { ...options, levels: 7, ...(seed % 4 < 2 ? {} : { scalePer: { group: 16 } }) }
      const found = await quantizer!.quantizeLayer(layer, { ...own, damping: 2 })
      const expected = await quantizer!.quantizeLayer(ridged(layer, 2), own)
      for (let k = 0; k < layer.neurons; k++, neurons++) {
        const scales = (from: typeof found) => from.scales.filter((_, i) => i % layer.neurons === k)
        if (scales(found).some((scale, b) => scale !== scales(expected)[b])) other++
      }
      const plain = await quantizer!.quantizeLayer(layer, own)
      expect(found.scales).not.toEqual(plain.scales)
    }
    expect(other).toBeLessThan(0.05 * neurons) // where two scales are as good as each other in float32
  })

  it('leaves the codes of rounding when it is large, and what there was before when it is 0', async () => {
    const layer = layerOf({ rows: 90, inputs: 70, neurons: 20, same: false, seed: 273, zeros: 0.2 })
    const rounded = await quantizer!.quantizeLayer(layer, { method: 'msq', radius: max })
    for (const { name, options } of METHOD_CASES) {
      if (dampsItself(options) || options.method === 'spfq' || options.sparsity !== undefined) continue
      const of = (damping: number) =>
        quantizer!.quantizeLayer(layer, { ...options, radius: max, damping } as LayerOptions)
      expect((await of(1e7)).codes, name).toEqual(rounded.codes)
      const plain = await quantizer!.quantizeLayer(layer, { ...options, radius: max })
      expect((await of(0)).codes, name).toEqual(plain.codes)
      if (options.method !== 'msq') expect(plain.codes, name).not.toEqual(rounded.codes)
    }
  })

  it('is refused where float32 cannot hold it', async () => {
    const layer = layerOf({ rows: 30, inputs: 10, neurons: 2, same: true, seed: 274 })
    await expect(quantizer!.quantizeLayer(layer, { damping: 1e38 })).rejects.toMatchObject({
      ...{ code: 'INVALID_DATA', expected: 'finite inputs' },
    })
  })
})

describe('the ridge of solve', () => {
  const run = (layer: Dense, options: MethodOptions, ridge: number) =>
    solve(engine, layer, [requestFor(layer, { levels: 7, scalePer: 'neuron', radius: max })], {
      ...{ ridge, recipe: resolveRecipe({ radius: max, ...options }) },
    })

  it.each(['gptq', 'qronos'] as const)('is beside the damping of %s, in H and G', async (method) => {
    let [neurons, ties] = [0, 0]
    await fc.assert(
      fc.asyncProperty(layerCases, SHARES, async (given, ridge) => {
        const layer = layerOf(given)
        const { solutions } = await run(denseOf(layer), { method }, ridge)
        const order = orderOf(layer, true)
        ties += countNearTies(ridged(layer, ridge), solutions[0]!, 7, order, twinOf(layer, method))
        neurons += given.neurons
      }),
      { seed: 275, numRuns: 20 },
    )
    expect(ties).toBeLessThan(0.03 * neurons)
  })

  it('adds to the damping of the others', async () => {
    const layer = randomDense(80, 60, 9, false, 276)
    const { solutions: both } = await run(layer, { damping: 0.25 }, 0.5)
    const { solutions: one } = await run(layer, { damping: 0.75 }, 0)
    const { solutions: none } = await run(layer, {}, 0)
    expect(both[0]!.codes).toEqual(one[0]!.codes)
    expect(both[0]!.codes).not.toEqual(none[0]!.codes)
  })

  it.each<MethodOptions>([
    ...[{ method: 'gpfq' }, { method: 'gpfq', actOrder: true }, { passes: 2 }],
    ...[{ method: 'gptq' }, { method: 'qronos' }, { method: 'beacon', passes: 2 }],
  ] as const)('can differ by request, %j', async (options) => {
    const recipe = resolveRecipe({ radius: max, ...options })
    const layer = randomDense(80, 60, 9, false, 278)
    const request = requestFor(layer, { levels: 7, scalePer: 'neuron', radius: max })
    const ridges = [0.5, 0, 4, 0.5]
    const requests = ridges.map((ridge) => ({ ...request, ridge }))
    const { solutions } = await solve(engine, layer, requests, { recipe })
    for (const [i, ridge] of ridges.entries())
      expect(solutions[i]).toEqual((await solve(engine, layer, [request], { recipe, ridge })).solutions[0])
    expect(solutions[0]!.codes).not.toEqual(solutions[2]!.codes)
  })

  it.each<MethodOptions>([{ method: 'gpfq' }, { method: 'gpfq', actOrder: true }, { method: 'gptq' }])(
    'is not in the error that follows from H, %j',
    async (options) => {
      const layer = randomDense(150, 60, 9, true, 277)
      const alphabet = { levels: 7, scalePer: 'neuron', radius: { rule: 'search' } } as const
      const request = { ...requestFor(layer, alphabet), withError: true }
      const ridge = 3
      const found = await solve(engine, layer, [request, request], {
        ...{ ridge, recipe: resolveRecipe(options), measure: true },
      })
      const [first, second] = found.solutions
      expect(first!.relativeError! / found.relativeError!).toBeCloseTo(1, 4)
      // The next layer is solved with the ridge again.
      expect(second).toEqual(first)
    },
  )
})
