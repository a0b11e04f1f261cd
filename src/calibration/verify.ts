/**
 * The last check before a model is called done: loaded back, it must compute on the first calibration batch what the
 * quantized stream computed, to 1e-4 of the output's norm. Without calibration it must at least load.
 */
import { GpfqError } from '../errors.js'
import type { GraphIndex } from '../onnx/graph.js'
import { floatsOf, OutputError } from './outputError.js'
import type { Feeds, Runner, Tensor } from './runner.js'
import type { Streams } from './streams.js'

const TOLERANCE = 1e-4

export async function verifyModel(
  model: Uint8Array,
  runner: Runner,
  streams: Streams,
  graph: GraphIndex,
): Promise<void> {
  const session = await runner.load(model)
  try {
    if (streams.batches === 0) return
    const feeds: Record<string, Tensor> = {}
    for (const input of session.inputs) feeds[input.name] = streams.feed(0, input.name)
    const outputs = await session.run(feeds satisfies Feeds)
    const computed = await streams.tensors(0, graph.outputs)
    for (const name of graph.outputs) {
      const pair = computed.get(name)
      const expected = pair?.quantized ?? pair?.float
      const found = outputs[name]
      if (expected === undefined || found === undefined) throw failed(name, 'an output', 'none')
      compare(name, expected, found)
    }
  } finally {
    await session.close()
  }
}

function compare(name: string, expected: Tensor, found: Tensor): void {
  if (expected.dims.join() !== found.dims.join()) throw failed(name, `(${expected.dims})`, `(${found.dims})`)
  if (!expected.type.startsWith('float')) return // integers follow from floats that may tie
  const error = new OutputError()
  error.add(expected, found)
  const relative = error.relative ?? 0
  if (!(relative <= TOLERANCE) && floatsOf(expected).every(Number.isFinite)) {
    throw failed(
      name,
      `what the quantized network computed, to ${TOLERANCE}`,
      `a relative difference of ${relative.toExponential(2)}`,
    )
  }
}

function failed(output: string, expected: string, got: string): GpfqError {
  return new GpfqError(
    'VERIFY_FAILED',
    `written model, output '${output}': expected ${expected}, got ${got}; try another --format, and please report it`,
  )
}
