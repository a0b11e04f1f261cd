/** What integers bring on the machine at hand: the speed of the written model beside the float one, and whether sums saturate. */
import type { Runner } from '../calibration/runner.js'
import { saturates } from '../calibration/saturation.js'
import { measureSpeed, type Speed } from '../calibration/speed.js'
import type { Streams } from '../calibration/streams.js'
import { feedOf, firstOf, partsOfBatch } from '../calibration/verify.js'
import { GpfqError } from '../errors.js'
import type { Note } from '../notes.js'
import type { Network } from '../onnx/network.js'
import { namedTensors } from '../tensor/named.js'
import type { Tensor } from '../tensor/tensor.js'
import type { PlannedModel } from './preparedModel.js'

/** Most levels whose codes and products runtimes without exact sums still add without saturation: 7 bits. */
const SAFE_LEVELS = 127

/** The float model and the written one run in turn, on one sample if they take one. Nothing is measured where no layer runs on integers. */
export async function measureIntegers(
  { source, plan, graph }: PlannedModel,
  written: Uint8Array,
  runner: Runner,
  streams: Streams,
  network: Network,
  signal: AbortSignal | undefined,
): Promise<{ readonly speed: Speed | null; readonly notes: readonly Note[] }> {
  const onIntegers = plan.layers.filter(({ kernel }) => kernel === 'int8')
  if (onIntegers.length === 0 || streams.batches === 0) return { speed: null, notes: [] }
  const parts = partsOfBatch(streams, graph)
  const own = graph.inputs.map((name): [string, Tensor] => [name, firstOf(streams.feed(0, name), parts)])
  const feeds = namedTensors(own)
  const codes = namedTensors(own.map(([name, tensor]) => [name, feedOf(network, name, tensor)]))
  const speed = await speedOf(async () =>
    measureSpeed(runner, await source.runnable(), written, feeds, signal, codes),
  )
  const wide = onIntegers.some(({ levels }) => levels > SAFE_LEVELS)
  return { speed, notes: [...byteNotes(network), ...(wide && (await saturates(runner)) ? [SATURATES] : [])] }
}

/** Both models are loaded at once for it: where they do not fit, there is no speed to tell. */
async function speedOf(measure: () => Promise<Speed | null>): Promise<Speed | null> {
  try {
    return await measure()
  } catch (error) {
    if (error instanceof GpfqError && error.code === 'OUT_OF_MEMORY') return null
    throw error
  }
}

/** What the bytes stand for that the written model takes. */
function byteNotes({ integers, quantizers }: Network): readonly Note[] {
  return [...integers.byteInputs].flatMap((input) => {
    const quantizer = quantizers.get(input)
    if (quantizer === undefined) return []
    const { scale, zeroPoint } = quantizer
    const text = `takes bytes: value = ${scale} · (byte − ${zeroPoint}), and ${1 / scale} steps to 1`
    return [{ code: 'BYTES_TAKEN', place: `input '${input}'`, text }]
  })
}

const SATURATES: Note = {
  code: 'RUNTIME_SATURATES',
  place: null,
  text:
    'this runtime adds products of 8-bit codes in 16 bits and can be off where both are large; it is exact for 127 levels or ' +
    'fewer',
}
