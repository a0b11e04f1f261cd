/**
 * Every method with every option and every pair of options: it either quantizes, or fails with the option's name. The tables
 * of docs/METHODS.md say which; this test reads them and compares them with the tables of src/methods/methods.ts.
 */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { isDescribed } from '#src/errors.js'
import { METHODS } from '#src/methods/methods.js'
import { checkMethodOptions, resolveRecipe } from '#src/methods/recipe.js'
import { resolveSettings } from '#src/model/settings.js'
import type { AnyMethodOptions, AnyPlanOptions, Method } from '#src/options.js'
import type { LayerOptions, Quantizer } from '#src/quantizer.js'
import { layerOf, openQuantizers } from './twin.js'

const [quantizer] = (await openQuantizers(1)) as [Quantizer]

/** Options of a single layer by their names on the command line, with values that could be refused. */
const OF_LAYERS: Readonly<
  Record<string, AnyMethodOptions & Pick<LayerOptions, 'levels' | 'radius' | 'scalePer'>>
> = {
  '--passes': { passes: 2 },
  '--preset': { preset: 'best' },
  '--act-order': { actOrder: true },
  '--no-act-order': { actOrder: false },
  '--preprocess': { preprocess: true },
  '--damping': { damping: 0.05 },
  '--sparsity': { sparsity: { rule: 'target', value: 0.3 } },
  '--alignment': { alignment: 2 },
  '--redundancy': { redundancy: 6 },
  '--seed': { seed: 3 },
  '--radius': { radius: { rule: 'mse' } },
  '--scale-per': { scalePer: { group: 8 } },
  '--levels': { levels: 16 },
}

/** Options of a whole model only. */
const OF_MODELS: Readonly<Record<string, AnyPlanOptions>> = {
  '--target-size': { targetSize: 0.2 },
  '--target-bits': { targetBits: 4 },
  '--per-channel': { perChannel: true },
  '--activations': { activations: { bits: 8 } },
  '--patches': { patches: 100 },
  '--random-patches': { randomPatches: 0.5 },
  '--holdout': { holdout: 8 },
  '--sample-weights': { sampleWeights: 'norm' },
}

const OPTIONS: Readonly<Record<string, AnyPlanOptions>> = { ...OF_LAYERS, ...OF_MODELS }

/** Rows of the Markdown table under a heading row, cells trimmed. */
function table(header: string): string[][] {
  const lines = readFileSync(new URL('../../docs/METHODS.md', import.meta.url), 'utf8').split('\n')
  const from = lines.indexOf(header)
  expect(from, `docs/METHODS.md: expected a table "${header}"`).toBeGreaterThanOrEqual(0)
  const length = lines.slice(from).findIndex((line) => !line.startsWith('|'))
  return lines.slice(from + 2, from + length).map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  )
}

/** Names in backticks, without their arguments. */
const quoted = (cell: string): string[] => [...cell.matchAll(/`([^`\s]+)[^`]*`/g)].map(([, name]) => name!)

const documentedMethods = table('| `--method` | paper | cost beside H and G | when |').map(
  ([name = '']) => quoted(name)[0]!,
)

/** Methods that an option goes with. */
const goesWith = new Map(
  table('| option | goes with | what it does |').flatMap(([names = '', methods = '']) => {
    const but = /^every method(?: but (.*))?$/.exec(methods)
    const listed = (but === null ? methods : (but[1] ?? '')).split(', ').filter((name) => name !== '')
    const own = but === null ? listed : documentedMethods.filter((method) => !listed.includes(method))
    return quoted(names).map((name) => [name, own] as const)
  }),
)
/** The table has no row for it: every method has levels. */
goesWith.set('--levels', documentedMethods)

const pairOf = (a: string, b: string): string => [a, b].sort().join(' ')
const apart = new Set(
  table('| not together | for |').map(([names = '']) => pairOf(...(quoted(names) as [string, string]))),
)

/** The error of a combination that is refused; null for one that is accepted. */
function refusal(method: Method, names: readonly string[]): unknown {
  try {
    resolveSettings({ method, ...Object.assign({}, ...names.map((name) => OPTIONS[name])) })
    return null
  } catch (error) {
    return error
  }
}

/** Expects an argument error whose place is one of the options, by its name in the API. */
function expectRefused(error: unknown, names: readonly string[]): void {
  expect(error instanceof TypeError || error instanceof RangeError, `${names}: ${error}`).toBe(true)
  if (!isDescribed(error)) throw new Error(`${names}: expected an error with its fields, got ${error}`)
  expect(error.code).toBe('INVALID_ARGUMENT')
  expect(
    names.flatMap((name) => Object.keys(OPTIONS[name]!)),
    error.message,
  ).toContain(error.place)
}

describe('docs/METHODS.md', () => {
  it('lists every method and every option', () => {
    expect([...documentedMethods].sort()).toEqual([...METHODS].sort())
    expect([...goesWith.keys()].sort()).toEqual(Object.keys(OPTIONS).sort())
    for (const methods of goesWith.values()) for (const method of methods) expect(METHODS).toContain(method)
  })
})

describe.each(METHODS)('%s', (method) => {
  const names = Object.keys(OPTIONS)
  const allowed = (name: string): boolean => goesWith.get(name)?.includes(method) ?? false
  // Fewer samples than inputs, for the vertex walk.
  const layer = layerOf({ rows: 16, inputs: 24, neurons: 5, same: false, seed: 181 })

  it('accepts its documented options, and refuses the others', () => {
    for (const name of names) {
      const error = refusal(method, [name])
      if (allowed(name)) expect(error, name).toBeNull()
      else {
        expectRefused(error, [name])
        expect((error as Error).message, name).toContain(method)
      }
    }
  })

  it('refuses exactly the documented pairs of its options', () => {
    for (const [i, a] of names.entries()) {
      for (const b of names.slice(i + 1)) {
        if (!allowed(a) || !allowed(b) || pairOf(a, b) === pairOf('--act-order', '--no-act-order')) continue
        const error = refusal(method, [a, b])
        if (apart.has(pairOf(a, b))) expectRefused(error, [a, b])
        else expect(error, `${a} ${b}`).toBeNull()
      }
    }
  })

  it('quantizes a layer with any one or two options that it accepts', async () => {
    const own = Object.keys(OF_LAYERS).filter(allowed)
    const rounded = await quantizer.quantizeLayer(layer, { method: 'msq', radius: { rule: 'max' } })
    for (const [i, a] of own.entries()) {
      for (const b of own.slice(i)) {
        if (apart.has(pairOf(a, b))) continue
        const options = { method, ...OF_LAYERS[a], ...OF_LAYERS[b] }
        checkMethodOptions(options)
        const { codes, scales, relativeError, notes } = await quantizer.quantizeLayer(layer, options)
        const place = `${a} ${b}`
        expect(
          codes.every((code) => code < (options.levels ?? 15)),
          place,
        ).toBe(true)
        expect(
          scales.every((scale) => Number.isFinite(scale) && scale > 0),
          place,
        ).toBe(true)
        expect(notes, place).toEqual([])
        expect(relativeError! / rounded.relativeError!, place).toBeLessThan(1.5)
      }
    }
  })
})

it('accepts a seed with every method where patches are random', () => {
  for (const method of METHODS) {
    expect(refusal(method, ['--seed', '--random-patches'])).toBeNull()
    expect(resolveRecipe({ method, seed: 5 }, true).seed).toBe(5)
  }
})

describe('unknown names', () => {
  const layer = layerOf({ rows: 5, inputs: 8, neurons: 1, same: true, seed: 182 })
  it.each([
    [{ method: 'magic' }, /^method: expected one of gpfq, .*, got magic$/],
    [{ preset: 'fast' }, /^preset: expected one of best, got fast$/],
    [{ scalePer: 'channel' }, /^scalePer: expected 'layer', 'neuron' or .*, got channel$/],
    [{ radius: { rule: 'mean' } }, /^radius rule: expected one of max, .*, got mean$/],
    [{ radius: 'max' }, /^radius rule: expected one of max, .*, got undefined$/],
    [{ sparsity: { rule: 'l1', value: 1 } }, /^sparsity rule: expected one of soft, hard, target, got l1$/],
  ])('%j are refused', async (options, message) => {
    const run = quantizer.quantizeLayer(layer, options as object)
    await expect(run).rejects.toBeInstanceOf(RangeError)
    await expect(run).rejects.toThrow(message)
  })
})
