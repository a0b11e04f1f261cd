/**
 * Outputs that look like the next value of an input, by their names and shapes: `stateN` of `state`, `present.0.key` of
 * `past_key_values.0.key`, `r1o` of `r1i`. It is a hint for people and decides nothing.
 */
import type { RunnerInput } from '../tensor/tensor.js'

/** How names say it: a pattern of outputs, and what stands in its place in the name of the input. */
const SAYINGS: readonly (readonly [output: RegExp, input: string])[] = [
  [/[_.]?[nN]$/, ''],
  [/[_.](?:new|next)$/i, ''],
  [/^(?:new|next)[_.]/i, ''],
  [/^present/, 'past'],
  [/^present/, 'past_key_values'],
  [/(?<=\d)o$/, 'i'],
]

/** Outputs → inputs of the same type, with a shape that can be the same. */
export function likelyStates(
  inputs: readonly RunnerInput[],
  outputs: readonly RunnerInput[],
): ReadonlyMap<string, string> {
  const byName = new Map(inputs.map((input) => [input.name, input]))
  const states = new Map<string, string>()
  for (const output of outputs)
    for (const [pattern, before] of SAYINGS) {
      const input = pattern.test(output.name) && byName.get(output.name.replace(pattern, before))
      if (input && canBeSame(input, output)) states.set(output.name, input.name)
    }
  return states
}

/** Whether two values have the same type, and shapes that can be the same as far as the file declares them. */
export function canBeSame(a: RunnerInput, b: RunnerInput): boolean {
  if (a.type !== b.type || a.type === 'not a tensor') return false
  if (a.dims === null || b.dims === null) return true
  const isOpen = (dim: unknown): boolean => typeof dim !== 'number'
  return (
    a.dims.length === b.dims.length &&
    a.dims.every((dim, i) => isOpen(dim) || isOpen(b.dims?.[i]) || dim === b.dims?.[i])
  )
}
