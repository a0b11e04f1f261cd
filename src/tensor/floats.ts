/** The values of a float tensor. */
import { typeError } from '../checks.js'
import { float16Values } from './float16.js'
import type { Tensor } from './tensor.js'

/**
 * A float tensor's values as float32; its own array where it is float32.
 * @throws TypeError for a tensor of integers
 */
export function floatsOf(tensor: Tensor): Float32Array {
  if (tensor.data instanceof Float32Array) return tensor.data
  if (tensor.data instanceof Float64Array) return new Float32Array(tensor.data)
  if (tensor.type === 'float16' && tensor.data instanceof Uint16Array) return float16Values(tensor.data)
  throw typeError({ place: 'tensor', expected: 'floats', got: tensor.type })
}
