/**
 * What the quantized network is worth on samples that are kept out of calibration: all its outputs against those of the float
 * network, and beside it the same for a network whose weights are rounded at the same size.
 */

import type { Streams } from '../calibration/streams.js'
import { samplesOf } from '../calibration/streamTensors.js'
import { feedOf } from '../calibration/verify.js'
import { encodeModel } from '../onnx/model.js'
import type { Network, SolvedLayer } from '../onnx/network.js'
import type { HeldOutReport, RunOptions } from '../options.js'
import { namedTensors, tensorNamed } from '../tensor/named.js'
import { VERSION } from '../version.js'
import { sumDifferences } from './outputDifference.js'
import type { PlannedModel } from './preparedModel.js'

/** Models of more bytes are not written a second time to be compared with rounding. */
const MOST_BYTES = 2 ** 30

/**
 * @param rounded the layers as rounding gives them; null where there is nothing to compare with
 * @returns null where no samples are kept out, or the network draws random numbers
 * @throws GpfqError RUNTIME_FAILED; the signal's reason
 */
export async function judgeOutputs(
  { plan, graph, float }: PlannedModel,
  network: Network,
  rounded: readonly SolvedLayer[] | null,
  streams: Streams,
  { runner, signal }: Pick<RunOptions, 'runner' | 'signal'>,
): Promise<HeldOutReport | null> {
  const { heldOut } = streams
  if (heldOut.length === 0 || graph.random) return null
  const names = graph.computedOutputs
  const own = names.map(sumDifferences)
  const ofRounding = names.map(sumDifferences)
  const formats = new Map(plan.layers.map(({ name, format }) => [name, format]))
  const session =
    rounded === null || plan.bytesIn > MOST_BYTES
      ? null
      : await runner.load(
          encodeModel(float.with([], network.quantizers).with(rounded).write(formats, VERSION).model),
        )
  try {
    for (let batch = streams.batches - heldOut.length; batch < streams.batches; batch++) {
      signal?.throwIfAborted()
      const computed = await streams.tensors(network, batch, names)
      const feeds = session?.inputs.map(
        ({ name }) => [name, feedOf(network, name, streams.feed(batch, name))] as const,
      )
      const outputs = feeds === undefined ? null : await session?.run(namedTensors(feeds), names)
      for (const [i, name] of names.entries()) {
        const { float: y, quantized: z } = computed.get(name)!
        own[i]!.add(y, z ?? y)
        const other = outputs && tensorNamed(outputs, name)
        if (other) ofRounding[i]!.add(y, other)
      }
    }
  } finally {
    await session?.close()
  }
  return {
    samples: samplesOf(heldOut),
    outputs: own.map((sums, i) => ({
      ...sums.result(),
      rounding: session === null ? null : ofRounding[i]!.result(),
    })),
  }
}
