/**
 * The last check of a run: the written model is loaded back and must compute on the first calibration batch what the
 * quantized stream computed, to 1e-4 of the output's norm. Where tensors are float16 the tolerance is 5e-3: the stream rounds
 * the tensors at which it is cut, and the whole model need not. Without calibration, or with random nodes, the model must
 * at least load.
 */

import { TensorProto_DataType as DataType } from 'onnx-buf'
import { GpfqError } from '../errors.js'
import { HINTS } from '../hints.js'
import { intAttribute } from '../onnx/attributes.js'
import type { GraphIndex } from '../onnx/graph.js'
import { graphOf } from '../onnx/model.js'
import type { Network } from '../onnx/network.js'
import { floatsOf } from '../tensor/floats.js'
import type { Feeds, Tensor } from '../tensor/tensor.js'
import { outputSums, relativeOf } from './outputErrors.js'
import type { Runner } from './runner.js'
import type { Streams } from './streams.js'

const TOLERANCE = 1e-4
const TOLERANCE_FLOAT16 = 5e-3

export async function verifyModel(
  model: Uint8Array,
  runner: Runner,
  streams: Streams,
  network: Network,
  graph: GraphIndex,
): Promise<void> {
  const session = await runner.load(model)
  try {
    if (streams.batches === 0 || graph.random) return
    const tolerance = hasFloat16(graph) ? TOLERANCE_FLOAT16 : TOLERANCE
    const feeds: Record<string, Tensor> = {}
    for (const input of session.inputs) feeds[input.name] = streams.feed(0, input.name)
    const outputs = await session.run(feeds satisfies Feeds, graph.computedOutputs)
    const computed = await streams.tensors(network, 0, graph.computedOutputs)
    for (const name of graph.computedOutputs) {
      const pair = computed.get(name)
      const expected = pair?.quantized ?? pair?.float
      const found = outputs[name]
      if (expected === undefined || found === undefined) throw failed(name, 'an output', 'none')
      compare(name, expected, found, tolerance)
    }
  } finally {
    await session.close()
  }
}

function compare(name: string, expected: Tensor, found: Tensor, tolerance: number): void {
  if (expected.dims.join() !== found.dims.join()) throw failed(name, `(${expected.dims})`, `(${found.dims})`)
  if (!expected.type.startsWith('float')) return // integers follow from floats that may tie
  const relative = relativeOf(outputSums(expected, found)) ?? 0
  if (!(relative <= tolerance) && floatsOf(expected).every(Number.isFinite)) {
    throw failed(
      name,
      `what the quantized network computed, to ${tolerance}`,
      `a relative difference of ${relative.toExponential(2)}`,
    )
  }
}

function hasFloat16({ model, nodes, constant }: GraphIndex): boolean {
  const isHalf = (type: number | undefined): boolean => type === DataType.FLOAT16
  return (
    nodes.some(
      (node) =>
        isHalf(intAttribute(node, 'to', DataType.UNDEFINED)) ||
        node.input.some((tensor) => isHalf(constant(tensor)?.dataType)),
    ) ||
    graphOf(model).input.some(
      ({ type }) => type?.value.case === 'tensorType' && isHalf(type.value.value.elemType),
    )
  )
}

function failed(output: string, expected: string, got: string): GpfqError {
  return new GpfqError('VERIFY_FAILED', {
    place: `written model, output '${output}'`,
    ...{ expected, got },
    hint: HINTS['other-format'],
  })
}
