/** Solutions as values: ranges of neurons give the codes of the whole layer, and bytes come back as they were. */
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { checkMethodOptions, resolveRecipe } from '#src/methods/recipe.js'
import { joinNeurons } from '#src/methods/solution.js'
import { solutionBytes, solutionFrom } from '#src/methods/solutionBytes.js'
import { solve } from '#src/methods/solve.js'
import type { AnyMethodOptions } from '#src/options.js'
import { createEngine, type OwnEngine } from '../engine/engine.js'
import { solve as observeAndSolve, randomDense, requestFor } from './dense.js'

let engine: OwnEngine
beforeAll(async () => {
  engine = await createEngine(2)
})
afterAll(() => engine.pool.close())

const methods: readonly AnyMethodOptions[] = [
  {},
  { method: 'msq', passes: 1 },
  { method: 'gptq' },
  { method: 'qronos', passes: 2 },
  { method: 'beacon' },
  { sparsity: { rule: 'soft', value: 0.1 } },
]

describe('a range of neurons', () => {
  it('has the codes, scales and errors of the whole layer, for every method', async () => {
    const drawn = fc.record({
      rows: fc.integer({ min: 20, max: 120 }),
      inputs: fc.integer({ min: 2, max: 40 }),
      neurons: fc.integer({ min: 2, max: 30 }),
      equal: fc.boolean(),
      seed: fc.nat(),
      cut: fc.nat(),
      options: fc.constantFrom(...methods),
      scalePer: fc.constantFrom('neuron' as const, { group: 8 }),
      rule: fc.constantFrom('search' as const, 'max' as const),
    })
    await fc.assert(
      fc.asyncProperty(drawn, async ({ rows, inputs, neurons, equal, seed, cut, options, ...alphabet }) => {
        checkMethodOptions(options)
        const layer = randomDense(rows, inputs, neurons, equal, seed)
        const own = options.method === 'beacon'
        const radius = { rule: own ? ('max' as const) : alphabet.rule }
        const scalePer = own ? ('neuron' as const) : alphabet.scalePer
        const request = requestFor(layer, { levels: 7, scalePer, radius })
        const recipe = resolveRecipe({ ...options, ...(own ? {} : { radius }) })
        const { solutions, observations } = await observeAndSolve(engine, layer, [request], { recipe })
        const border = 1 + (cut % (neurons - 1))
        const parts = []
        for (const range of [
          { from: 0, to: border },
          { from: border, to: neurons },
        ]) {
          const run = { recipe, place: 'test', neurons: range }
          const { solutions: part } = await solve(engine, observations, [request], run)
          parts.push(solutionFrom(solutionBytes(part[0]!)))
        }
        const { codes, scales } = joinNeurons(parts)
        expect(codes).toEqual(solutions[0]!.codes)
        expect(scales).toEqual(solutions[0]!.scales)
      }),
      { seed: 221, numRuns: 60 },
    )
  })

  it('is refused where neurons depend on each other, and outside of the layer', async () => {
    const layer = randomDense(50, 10, 6, true, 222)
    const request = requestFor(layer, { levels: 7, scalePer: 'layer', radius: { rule: 'search' } })
    const { observations } = await observeAndSolve(engine, layer, [request])
    const range = { from: 0, to: 3 }
    const run = { place: 'test', neurons: range }
    await expect(
      solve(engine, observations, [request], { ...run, recipe: resolveRecipe({}) }),
    ).rejects.toThrow(TypeError)
    for (const options of [
      { method: 'spfq' as const },
      { sparsity: { rule: 'target' as const, value: 0.5 } },
    ]) {
      const own = requestFor(layer, { levels: 7, scalePer: 'neuron', radius: { rule: 'max' } })
      await expect(
        solve(engine, observations, [own], { ...run, recipe: resolveRecipe(options) }),
      ).rejects.toThrow(TypeError)
    }
    const own = requestFor(layer, { levels: 7, scalePer: 'neuron', radius: { rule: 'search' } })
    for (const neurons of [
      { from: 3, to: 3 },
      { from: 0, to: 7 },
      { from: -1, to: 2 },
      { from: 0.5, to: 2 },
    ]) {
      await expect(
        solve(engine, observations, [own], { place: 'test', recipe: resolveRecipe({}), neurons }),
      ).rejects.toMatchObject({ code: 'INVALID_ARGUMENT', place: 'neurons' })
    }
  })
})

describe('solve', () => {
  it('refuses observations that are not those of the layer', async () => {
    const layer = randomDense(50, 10, 6, false, 223)
    const request = requestFor(layer, { levels: 7, scalePer: 'neuron', radius: { rule: 'max' } })
    const recipe = resolveRecipe({ radius: { rule: 'max' } })
    // The path alone with given scales: only the lower triangle of G is summed.
    const { observations } = await observeAndSolve(engine, layer, [request], { recipe })
    const run = { place: 'layer one' }
    const searched = requestFor(layer, { levels: 7, scalePer: 'neuron', radius: { rule: 'search' } })
    await expect(
      solve(engine, observations, [searched], { ...run, recipe: resolveRecipe({}) }),
    ).rejects.toMatchObject({
      code: 'INVALID_DATA',
      place: 'layer one',
      expected: 'observations with all of G',
    })
    const other = requestFor(randomDense(50, 11, 6, false, 224), {
      levels: 7,
      scalePer: 'neuron',
      radius: { rule: 'max' },
    })
    await expect(solve(engine, observations, [other], { ...run, recipe })).rejects.toMatchObject({
      code: 'INVALID_DATA',
      got: '1 × 10',
    })
    await expect(solve(engine, null, [request], { ...run, recipe })).rejects.toMatchObject({
      code: 'INVALID_DATA',
      got: 'none',
    })
    const walk = resolveRecipe({ method: 'msq', preprocess: true })
    await expect(solve(engine, observations, [request], { ...run, recipe: walk })).rejects.toMatchObject({
      expected: 'observations of kind rows',
    })
  })
})
