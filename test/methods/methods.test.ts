/** The tables of methods against the types that follow from them, and against the defaults of a recipe. */
import { describe, expect, expectTypeOf, it } from 'vitest'
import {
  BEST,
  METHOD_TABLE,
  METHODS,
  methodEntry,
  methodsWith,
  OPTION_TABLE,
  OPTIONS,
} from '#src/methods/methods.js'
import { METHOD_WORDS } from '#src/methods/methodWords.js'
import { resolveRecipe } from '#src/methods/recipe.js'
import type { Settings } from '#src/model/settings.js'
import type { Method, MethodOptions, ModelPlan, PlanModelOptions, QuantizeReport } from '#src/options.js'
import type { LayerOptions } from '#src/quantizer.js'

describe('the tables', () => {
  it('have every method and every option once', () => {
    expect([...METHODS].sort()).toEqual(Object.keys(METHOD_TABLE).sort())
    expect([...OPTIONS].sort()).toEqual(Object.keys(OPTION_TABLE).sort())
    for (const name of OPTIONS) expect(methodsWith(name).length).toBeGreaterThan(0)
  })

  it('have the defaults of a recipe', () => {
    for (const method of METHODS) {
      const { actOrder, ...defaults } = methodEntry(method).options
      const recipe = resolveRecipe({ method })
      expect(recipe).toMatchObject(defaults)
      expect(recipe.actOrder).toBe(actOrder === true || actOrder === 'searched')
      const given = resolveRecipe({ method, radius: { rule: 'max' } })
      expect(given.actOrder).toBe(actOrder === true)
    }
    expect(resolveRecipe({ preset: 'best' })).toMatchObject({ method: BEST.method, passes: BEST.passes })
    expect(resolveRecipe({ preset: 'best', method: 'beacon' }).passes).toBe(5)
  })

  it('name papers by their number on arXiv', () => {
    for (const method of METHODS)
      expect(METHOD_WORDS[method].paper?.arXiv ?? '0000.00000').toMatch(/^\d{4}\.\d{5}$/)
  })
})

describe('types', () => {
  const take = (options: MethodOptions): MethodOptions => options
  const plan = (options: PlanModelOptions): PlanModelOptions => options

  it('take a method with its own options', () => {
    take({})
    take({ sparsity: { rule: 'hard', value: 0.1 }, passes: 2, actOrder: false })
    take({ method: 'gptq', damping: 0.1, actOrder: true, passes: 1, preset: 'best' })
    take({ method: 'spfq', seed: 3, alignment: 2 })
    take({ method: 'frame', redundancy: 2, actOrder: false, preprocess: false })
    take({ preset: 'best', damping: 0.1 })
    take({ damping: 0.1 })
    plan({ method: 'gptq', seed: 3, randomPatches: 0.5, levels: 7 })
    expectTypeOf<{ method: Method }>().toExtend<LayerOptions>()
    expectTypeOf<MethodOptions>().toExtend<PlanModelOptions>()
  })

  it('refuse options of other methods', () => {
    // @ts-expect-error frame has no damping
    take({ method: 'frame', damping: 0.1 })
    // @ts-expect-error gptq has no sparsity
    take({ method: 'gptq', sparsity: { rule: 'hard', value: 0.1 } })
    // @ts-expect-error msq has no order of inputs
    take({ method: 'msq', actOrder: true })
    // @ts-expect-error only msq has the vertex walk
    take({ method: 'gpfq', preprocess: true })
    // @ts-expect-error the preset is qronos, which has no sparsity
    take({ preset: 'best', sparsity: { rule: 'hard', value: 0.1 } })
    // @ts-expect-error frame has no passes
    take({ method: 'frame', passes: 1 })
    // @ts-expect-error frame has no preset
    take({ method: 'frame', preset: 'best' })
    // @ts-expect-error one layer has no random patches, so only spfq has a seed
    take({ method: 'gptq', seed: 3 })
    // @ts-expect-error no such method
    take({ method: 'magic' })
    // @ts-expect-error also for whole models
    plan({ method: 'beacon', actOrder: true, levels: 7 })
  })

  it('give the settings of plans and reports', () => {
    expectTypeOf<ModelPlan['settings']>().toEqualTypeOf<Settings>()
    expectTypeOf<QuantizeReport['settings']>().toEqualTypeOf<Settings>()
    expectTypeOf<Settings['method']>().toEqualTypeOf<Method>()
  })
})
