/**
 * Tensors by name, as properties of an object. Names come from models and files, and any name can be one: `constructor` and
 * `__proto__` too. So own properties alone are read, and new objects have no prototype.
 */
import type { Tensor } from './tensor.js'

type Named = Readonly<Record<string, Tensor>>

/** The tensor of this name. */
export function tensorNamed(tensors: Named, name: string): Tensor | undefined {
  return Object.hasOwn(tensors, name) ? tensors[name] : undefined
}

/** An object with these tensors and nothing else. */
export function namedTensors<T = Tensor>(entries: Iterable<readonly [string, T]>): Record<string, T> {
  const tensors: Record<string, T> = Object.create(null)
  for (const [name, tensor] of entries) tensors[name] = tensor
  return tensors
}
