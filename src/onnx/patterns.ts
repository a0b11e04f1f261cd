/**
 * Globs over node and weight names, as --include, --exclude and --bits-for take them. Names are not paths,
 * though they often look like some: `*` matches slashes and dots too, so that `*conv*` finds
 * `/layer1/layer1.0/conv1/Conv`. A pattern that matches nothing is an error: a typo must not silently quantize
 * what was meant to stay float.
 */
import picomatch from 'picomatch'
import { GpfqError } from '../errors.js'
import type { Layer, Skipped } from './layer.js'

/** Names by which a layer can be meant: its nodes and its weight. */
function namesOf(layer: Layer): string[] {
  return [...layer.uses.map(({ node }) => node), layer.weight]
}

export function matchesPattern(pattern: string, name: string): boolean {
  return pattern === name || picomatch.isMatch(name, pattern, { bash: true, dot: true })
}

/** The layers that a pattern means, at least one; `option` names the option in the error. */
export function matchLayers(
  pattern: string,
  layers: readonly Layer[],
  skipped: readonly Skipped[],
  option: string,
): Layer[] {
  const found = layers.filter((layer) => namesOf(layer).some((name) => matchesPattern(pattern, name)))
  if (found.length > 0) return found
  const barred = skipped.find(({ name }) => matchesPattern(pattern, name))
  if (barred !== undefined)
    throw new GpfqError(
      'NO_MATCH',
      `${option} '${pattern}': expected a layer that can be quantized, got '${barred.name}': ${barred.reason}.`,
    )
  const near = nearest(pattern, [...new Set(layers.flatMap(namesOf))])
  const hint =
    near.length === 0
      ? 'The model has no layers to match.'
      : `Near names: ${near.map((name) => `'${name}'`).join(', ')}.`
  throw new GpfqError(
    'NO_MATCH',
    `${option} '${pattern}': expected a glob that matches a node or weight name, got no match. ${hint}`,
  )
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
