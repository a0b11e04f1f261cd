/**
 * Globs over node and weight names, for options that choose layers. Names often look like paths but are none: `*`
 * matches slashes and dots too, so that `*conv*` finds `/layer1/layer1.0/conv1/Conv`. A pattern without a match is an
 * error, because a typo would otherwise quantize a layer that was meant to stay float.
 */
import { GpfqError } from '../errors.js'
import { compileGlob, runGlob } from './glob.js'
import type { Layer, Skipped } from './layer.js'

/** Names that a pattern can match: its own, those of its nodes, and that of its weight. */
function namesOf({ name, uses, unsampled, weight }: Layer): string[] {
  return [...new Set([name, ...uses.map(({ node }) => node), ...unsampled.map(({ node }) => node), weight])]
}

/** A test whether a name equals the pattern or matches it as a glob, which is compiled once. */
export function matcherOf(pattern: string): (name: string) => boolean {
  const glob = compileGlob(pattern)
  return (name) => pattern === name || runGlob(glob, name).matches
}

/** What makes a pattern more than a name. */
const MAGIC = /[*?[\]{}!\\]/

const indices = new WeakMap<readonly Layer[], ReadonlyMap<string, Layer[]>>()

/** Layers by each of their names: many names are looked up in the same layers. */
function layersByName(layers: readonly Layer[]): ReadonlyMap<string, Layer[]> {
  const known = indices.get(layers)
  if (known !== undefined) return known
  const index = new Map<string, Layer[]>()
  for (const layer of layers)
    for (const name of new Set(namesOf(layer))) {
      const list = index.get(name)
      if (list === undefined) index.set(name, [layer])
      else list.push(layer)
    }
  indices.set(layers, index)
  return index
}

/**
 * The layers that a pattern matches.
 * @param skipped named in the error if the pattern matches one of them and no layer
 * @param option the name of the option, for the error
 * @throws {GpfqError} NO_MATCH
 */
export function matchLayers(
  pattern: string,
  layers: readonly Layer[],
  skipped: readonly Skipped[],
  option: string,
): Layer[] {
  const matches = matcherOf(pattern)
  const found = MAGIC.test(pattern)
    ? layers.filter((layer) => namesOf(layer).some(matches))
    : (layersByName(layers).get(pattern) ?? [])
  if (found.length > 0) return found
  const place = `${option} '${pattern}'`
  const match = skipped.find(({ name }) => matches(name))
  if (match !== undefined)
    throw new GpfqError('NO_MATCH', {
      place,
      expected: 'a layer that can be quantized',
      got: `'${match.name}': ${match.reason}`,
    })
  const near = nearest(pattern, [...new Set(layers.flatMap(namesOf))])
  throw new GpfqError('NO_MATCH', {
    place,
    expected: 'a glob that matches a node or weight name',
    got: 'no match',
    hint:
      near.length === 0
        ? 'the model has no layers'
        : `near names: ${near.map((name) => `'${name}'`).join(', ')}`,
  })
}

/** Up to five names that share the most letter pairs with the pattern (Dice's coefficient). */
function nearest(pattern: string, names: readonly string[]): string[] {
  const wanted = pairs(pattern)
  const score = (name: string) => {
    const own = pairs(name)
    return (2 * [...own].filter((pair) => wanted.has(pair)).length) / (own.size + wanted.size || 1)
  }
  return names
    .map((name) => ({ name, score: score(name) }))
    .sort((x, y) => y.score - x.score)
    .slice(0, 5)
    .map(({ name }) => name)
}

function pairs(text: string): Set<string> {
  const letters = text.toLowerCase().replaceAll(/[*?{}[\]()!,]/g, '')
  return new Set(Array.from({ length: Math.max(0, letters.length - 1) }, (_, i) => letters.slice(i, i + 2)))
}
