/**
 * The last check of a run: the written model is loaded back and must compute on the first calibration batch what the
 * quantized stream computed, to 1e-4 of the output's norm. Where tensors are float16 the tolerance is 5e-3: the stream rounds
 * the tensors at which it is cut, and the whole model need not. Without calibration, or with random nodes, the model must
 * at least load.
 *
 * Layers on integers round at other places than the stream, which computes the same in float32: a value halfway between two
 * codes can become either, and later layers carry that on. So their outputs are compared in steps: 1/255 of the range of an
 * output. Ranges of DynamicQuantizeLinear depend on the batch, and the stream has one for each sample: the written model
 * gets one sample, unless it takes batches of one size only.
 */

import { TensorProto_DataType as DataType } from 'onnx-buf'
import { GpfqError } from '../errors.js'
import { HINTS, type HintName } from '../hints.js'
import { LARGEST_CODE } from '../onnx/activations/quantizer.js'
import { intAttribute } from '../onnx/attributes.js'
import type { GraphIndex } from '../onnx/graph.js'
import { encodeModel, graphOf } from '../onnx/model.js'
import type { Network } from '../onnx/network.js'
import { inputsOf } from '../onnx/openModel.js'
import { floatsOf } from '../tensor/floats.js'
import { namedTensors, tensorNamed } from '../tensor/named.js'
import type { Feeds, RunnerInput, Tensor } from '../tensor/tensor.js'
import { wrongValues } from './finite.js'
import { outputSums, relativeOf } from './outputErrors.js'
import { codesOf } from './roundTensor.js'
import type { Runner } from './runner.js'
import { saturates } from './saturation.js'
import type { Streams } from './streams.js'

const TOLERANCE = 1e-4
const TOLERANCE_FLOAT16 = 5e-3
/** Root mean square of the differences, in steps: right models have 1 to 3, wrong ones dozens. */
const STEPS = 8

/** What the last check found of an output. */
export interface VerifiedOutput {
  readonly output: string
  /** Of the written model from the quantized stream: relative to the output's norm, or for layers on integers in steps. */
  readonly difference: number
  readonly unit: 'relative' | 'steps'
  readonly tolerance: number
  /**
   * What ONNX Runtime's optimizations alone change in this output, relative to its norm; null where the difference is within
   * the tolerance. An output that they change jumps: a comparison or a maximum in the network flips by the last bits.
   */
  readonly jump: number | null
}

/** @returns what was found; nothing where there is nothing to compare */
export async function verifyModel(
  model: Uint8Array,
  runner: Runner,
  streams: Streams,
  network: Network,
  graph: GraphIndex,
): Promise<readonly VerifiedOutput[]> {
  const isCompared = streams.batches > 0 && !graph.random
  const kinds = new Set(network.integers.layers.values())
  const integers = kinds.size > 0
  const samples = isCompared && kinds.has('dynamic') ? partsOfBatch(streams, graph) : 1
  const feed = (name: string): Tensor => firstOf(streams.feed(0, name), samples)
  let inputs: readonly string[]
  let feeds: Feeds
  let outputs: Readonly<Record<string, Tensor>>
  const session = await runner.load(model)
  try {
    if (!isCompared) return []
    inputs = session.inputs.map(({ name }) => name)
    feeds = namedTensors(inputs.map((name) => [name, feedOf(network, name, feed(name))] as const))
    outputs = await session.run(feeds, graph.computedOutputs)
  } finally {
    await session.close()
  }
  const computed = await streams.tensors(network, 0, graph.computedOutputs)
  const tolerance = hasFloat16(graph) ? TOLERANCE_FLOAT16 : TOLERANCE
  const found: VerifiedOutput[] = []
  for (const name of graph.computedOutputs) {
    const pair = computed.get(name)
    const held = pair?.quantized ?? pair?.float
    const tensor = tensorNamed(outputs, name)
    if (held === undefined || tensor === undefined) throw failed(name, 'an output', 'none')
    const expected = firstOf(held, samples)
    if (expected.dims.join() !== tensor.dims.join())
      throw failed(name, `(${expected.dims})`, `(${tensor.dims})`)
    if (!expected.type.startsWith('float')) continue // integers follow from floats that may tie
    checkFinite(name, expected, tensor)
    const [y, z] = [finiteOf(expected), finiteOf(tensor)]
    const own = integers
      ? inSteps(name, finiteOf(firstOf(pair!.float, samples)), y, z)
      : inNorms(name, y, z, tolerance)
    if (own.difference <= own.tolerance) {
      found.push(own)
      continue
    }
    // Graphs without optimizations run the same arithmetic in another order: what that changes says nothing of the file.
    const float = encodeModel(graph.model)
    const floatFeeds = namedTensors(inputs.map((name) => [name, feed(name)] as const))
    const jump = Math.max(
      await jumpOf(float, runner, floatFeeds, name),
      await jumpOf(model, runner, feeds, name),
    )
    if (jump <= tolerance) throw await differs(own, runner)
    found.push({ ...own, jump })
  }
  return found
}

/** The relative difference of an output with and without the optimizations of the runtime. */
async function jumpOf(model: Uint8Array, runner: Runner, feeds: Feeds, output: string): Promise<number> {
  const found: Tensor[] = []
  for (const optimized of [true, false]) {
    const session = await runner.load(model, { optimized })
    try {
      found.push(tensorNamed(await session.run(feeds, [output]), output)!)
    } finally {
      await session.close()
    }
  }
  const [y, z] = found.map(finiteOf)
  return relativeOf(outputSums(y!, z!)) ?? 0
}

/** An input as the written model takes it: as it is, or as codes. */
export function feedOf({ integers, quantizers }: Network, name: string, tensor: Tensor): Tensor {
  const quantizer = integers.byteInputs.has(name) ? quantizers.get(name) : undefined
  return quantizer === undefined ? tensor : codesOf(name, tensor, quantizer)
}

/**
 * Into how many parts the first batch is cut for one sample: its samples, or 1 where the model takes batches of one size only,
 * or an input has its samples on another axis than the first.
 */
export function partsOfBatch(streams: Streams, { model }: GraphIndex): number {
  const samples = streams.samples(0)
  const fits = ({ name, dims }: RunnerInput): boolean => {
    const size = dims?.[0]
    const feed = streams.feed(0, name)
    if (feed.dims.length > 1 && feed.dims[0]! % samples !== 0) return false
    return typeof size !== 'number' || firstOf(feed, samples).dims[0] === size
  }
  return inputsOf(model).every(fits) ? samples : 1
}

/** The first of so many samples on the leading axis; the whole tensor where that does not count them. */
export function firstOf(tensor: Tensor, samples: number): Tensor {
  const [leading = 1, ...dims] = tensor.dims
  if (samples <= 1 || tensor.dims.length === 0 || leading % samples !== 0) return tensor
  const { data } = tensor
  const length = data.length / samples
  return { ...tensor, dims: [leading / samples, ...dims], data: data.slice(0, length) }
}

/** Where the float model masks values with minus infinity, the written one must do so too; all others are finite. */
function checkFinite(name: string, expected: Tensor, found: Tensor): void {
  const [y, z] = [floatsOf(expected), floatsOf(found)]
  const inStream = wrongValues(expected)
  if (inStream > 0)
    throw failed(
      name,
      'finite values, as the float model gives',
      `${inStream} that are not, in the quantized network`,
    )
  const wrong = z.reduce((sum, value, i) => sum + Number(Number.isFinite(value) !== Number.isFinite(y[i])), 0)
  if (wrong > 0)
    throw failed(
      name,
      'finite values, as the quantized network computed',
      `${wrong} of ${z.length} that are not`,
    )
}

/** The tensor with zeros where its values are not finite. */
function finiteOf(tensor: Tensor): Tensor {
  const values = floatsOf(tensor)
  if (values.every(Number.isFinite)) return tensor
  return { ...tensor, type: 'float32', data: values.map((value) => (Number.isFinite(value) ? value : 0)) }
}

const inNorms = (output: string, expected: Tensor, found: Tensor, tolerance: number): VerifiedOutput => ({
  ...{ output, difference: relativeOf(outputSums(expected, found)) ?? 0, unit: 'relative', tolerance },
  jump: null,
})

const inSteps = (output: string, float: Tensor, expected: Tensor, found: Tensor): VerifiedOutput => ({
  ...{ output, difference: differenceInSteps(expected, found), unit: 'steps' },
  // A network that quantization has changed a lot carries differences of a step on as much.
  tolerance: Math.max(STEPS, differenceInSteps(expected, float) / 2),
  jump: null,
})

/** The error of an output that differs and does not jump. */
async function differs(
  { output, difference, unit, tolerance }: VerifiedOutput,
  runner: Runner,
): Promise<GpfqError> {
  const expected = 'what the quantized network computed, to'
  if (unit === 'relative')
    return failed(
      output,
      `${expected} ${tolerance}`,
      `a relative difference of ${difference.toExponential(2)}`,
    )
  const saturating = await saturates(runner)
  return failed(
    output,
    `${expected} ${Math.floor(tolerance)} steps of 1/${LARGEST_CODE} of its range`,
    `${difference.toFixed(1)} steps${saturating ? ', and this runtime saturates sums of products in 16 bits' : ''}`,
    saturating ? 'seven-bits' : 'other-format',
  )
}

/** Root mean square of the differences between two tensors, in 255ths of the range of the first. */
export function differenceInSteps(expected: Tensor, found: Tensor): number {
  const values = floatsOf(expected)
  const { error2 } = outputSums(expected, found)
  const range =
    values.reduce((most, value) => Math.max(most, value), 0) -
    values.reduce((least, value) => Math.min(least, value), 0)
  if (error2 === 0) return 0
  return (LARGEST_CODE * Math.sqrt(error2 / values.length)) / range
}

function hasFloat16({ model, nodes, constant }: GraphIndex): boolean {
  const isHalf = (type: number | undefined): boolean => type === DataType.FLOAT16
  return (
    nodes.some(
      (node) =>
        (node.opType === 'Cast' && isHalf(intAttribute(node, 'to', DataType.UNDEFINED))) ||
        node.input.some((tensor) => isHalf(constant(tensor)?.dataType)),
    ) ||
    graphOf(model).input.some(
      ({ type }) => type?.value.case === 'tensorType' && isHalf(type.value.value.elemType),
    )
  )
}

function failed(output: string, expected: string, got: string, hint: HintName = 'other-format'): GpfqError {
  return new GpfqError('VERIFY_FAILED', {
    place: `written model, output '${output}'`,
    ...{ expected, got },
    hint: HINTS[hint],
  })
}
