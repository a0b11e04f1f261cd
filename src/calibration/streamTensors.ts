/** Tensors of the two streams: what a session computes from what is held, and pairs of outputs that can be compared. */
import { GpfqError } from '../errors.js'
import type { Network } from '../onnx/network.js'
import type { Stage } from '../onnx/stages.js'
import { namedTensors, tensorNamed } from '../tensor/named.js'
import type { Feeds, Tensor } from '../tensor/tensor.js'
import { roundTensor } from './roundTensor.js'
import type { RunnerSession } from './runner.js'

/** A tensor of one batch in both streams. */
export interface Pair {
  readonly float: Tensor
  /** Null where the quantized stream is still the float one. */
  readonly quantized: Tensor | null
}

/** A layer's output in both streams, for one batch: its error is measured on it. */
export interface OutputPair {
  readonly tensor: string
  readonly float: Tensor
  readonly quantized: Tensor
  /** Place of the batch's first sample among all samples, and how many it has. */
  readonly firstSample: number
  readonly samples: number
  /** Whether the batch is kept out of calibration; then samples are counted among those kept out. */
  readonly heldOut: boolean
}

/** Tensors of one batch that are held, of the quantized stream only those that differ. */
export interface HeldPair {
  readonly float: Map<string, Tensor>
  readonly quantized: Map<string, Tensor>
}

export const freshPair = (feeds: Feeds): HeldPair => ({
  float: new Map(Object.entries(feeds)),
  quantized: new Map(),
})

export function keepOnly({ float, quantized }: HeldPair, names: ReadonlySet<string>): void {
  for (const held of [float, quantized])
    for (const name of held.keys()) if (!names.has(name)) held.delete(name)
}

/** What a stage keeps while its layers are quantized. */
export function keptIn({ live, ranges, quantize }: Stage): Set<string> {
  return new Set([...live, ...ranges, ...quantize.flatMap(({ uses }) => uses.map(({ input }) => input))])
}

/** Rounds the tensors of a stage that have a quantizer by now. */
export function roundIn({ float, quantized }: HeldPair, { ranges }: Stage, { quantizers }: Network): void {
  for (const name of ranges) {
    const [quantizer, tensor] = [quantizers.get(name), quantized.get(name) ?? float.get(name)]
    if (quantizer !== undefined && tensor !== undefined)
      quantized.set(name, roundTensor(name, tensor, quantizer))
  }
}

export const bytesHeld = ({ float, quantized }: HeldPair): number =>
  [...float.values(), ...quantized.values()].reduce((sum, { data }) => sum + data.byteLength, 0)

export const inputBytes = (feeds: Feeds = {}): number =>
  Object.values(feeds).reduce((sum, { data }) => sum + data.byteLength, 0)

/** Samples of a batch: the leading axis of its inputs. */
export const samplesIn = (feeds: Feeds | undefined): number => Object.values(feeds ?? {})[0]?.dims[0] ?? 0

export const samplesOf = (batches: readonly Feeds[]): number =>
  batches.reduce((sum, feeds) => sum + samplesIn(feeds), 0)

/**
 * Runs a session on tensors that are held; nothing where there is no session.
 * @param port the name under which a tensor is fed or fetched
 * @param fetched tensors to return, of those that the session makes
 */
export async function runOn(
  session: RunnerSession | null,
  port: (tensor: string) => string,
  given: readonly string[],
  find: (tensor: string) => Tensor | undefined,
  fetched: readonly string[],
): Promise<ReadonlyMap<string, Tensor>> {
  if (session === null) return new Map()
  const wanted = new Set(session.inputs.map(({ name }) => name))
  const feeds = given.flatMap((name): [string, Tensor][] => {
    if (!wanted.has(port(name))) return []
    const tensor = find(name)
    if (tensor === undefined) throw notComputed(name)
    return [[port(name), tensor]]
  })
  const outputs = await session.run(namedTensors(feeds))
  return new Map(
    fetched.flatMap((name): [string, Tensor][] => {
      const tensor = tensorNamed(outputs, port(name))
      return tensor === undefined ? [] : [[name, tensor]]
    }),
  )
}

/** Samples of the two streams are compared one by one: shapes must not depend on values. */
export function checkSameShape(place: string, float: Tensor, quantized: Tensor): void {
  if (float.dims.join() === quantized.dims.join()) return
  throw new GpfqError('UNSUPPORTED_MODEL', {
    place,
    expected: 'the same shape in the float and the quantized network',
    got: `(${float.dims.join(', ')}) and (${quantized.dims.join(', ')}), which follow from values`,
    hint: 'exclude the layers before and after it',
  })
}

export function notComputed(name: string): GpfqError {
  return new GpfqError('INVALID_DATA', {
    place: 'calibration',
    expected: `a value for '${name}'`,
    got: 'none',
    hint: 'does the data cover every model input?',
  })
}
