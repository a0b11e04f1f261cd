/** Tensors with their values rounded to 8 bits, as the layers on integers read them. */
import { GpfqError } from '../errors.js'
import {
  type ActivationQuantizer,
  dynamicQuantizer,
  roundActivations,
} from '../onnx/activations/quantizer.js'
import type { Tensor } from '../tensor/tensor.js'

/** With the quantizer of the whole tensor. @param name for messages */
export function roundTensor(name: string, tensor: Tensor, quantizer: ActivationQuantizer): Tensor {
  const values = floats(name, tensor)
  return { ...tensor, data: roundActivations(values, quantizer, new Float32Array(values.length)) }
}

/**
 * With a range for each sample, so that the values of a sample do not depend on the batch that it is in. A tensor whose
 * leading axis does not count samples has one range.
 */
export function roundSamples(name: string, tensor: Tensor, samples: number): Tensor {
  const values = floats(name, tensor)
  const parts = (tensor.dims[0] ?? 1) % samples === 0 ? samples : 1
  const length = values.length / parts
  const out = new Float32Array(values.length)
  for (let part = 0; part < parts; part++) {
    const own = values.subarray(part * length, (part + 1) * length)
    roundActivations(own, dynamicQuantizer(own), out.subarray(part * length, (part + 1) * length))
  }
  return { ...tensor, data: out }
}

/** The codes of the values, uint8. @param name for messages */
export function codesOf(name: string, tensor: Tensor, quantizer: ActivationQuantizer): Tensor {
  const { scale, zeroPoint } = quantizer
  const rounded = floats(name, roundTensor(name, tensor, quantizer))
  return {
    ...tensor,
    type: 'uint8',
    data: Uint8Array.from(rounded, (v) => Math.round(v / scale) + zeroPoint),
  }
}

/** The values of a float32 tensor. @throws GpfqError UNSUPPORTED_MODEL for one of another type */
export function floats(name: string, { type, data }: Tensor): Float32Array {
  if (data instanceof Float32Array) return data
  const hint = 'leave the layers that read or make it on floats'
  throw new GpfqError('UNSUPPORTED_MODEL', {
    place: `tensor '${name}'`,
    expected: 'float32',
    got: type,
    hint,
  })
}
