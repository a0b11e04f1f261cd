/**
 * One shard of the calibration samples in a process of its own (shards.test.ts): it is told the model, the plan and its
 * images, hands back the observations of a stage as bytes, and goes on when it is told the stage's solutions, bytes as well.
 */
import { createOrtWebRunner } from '#src/calibration/onnxRuntime.js'
import { Streams } from '#src/calibration/streams.js'
import { createExecutor } from '#src/executor/choose.js'
import { solutionFrom } from '#src/methods/solutionBytes.js'
import { advanceStage, observeStage, type StageContext } from '#src/model/observeStage.js'
import { joinPlan } from '#src/model/preparedModel.js'
import { quantizedWeight } from '#src/model/requests.js'
import { stageBytes } from '#src/model/stageObservations.js'
import type { ActivationQuantizer } from '#src/onnx/activations/quantizer.js'
import { openModel } from '#src/onnx/openModel.js'
import type { ModelPlan } from '#src/options.js'
import type { Feeds } from '#src/tensor/tensor.js'

/** The first message. */
export interface ShardTask {
  readonly model: Uint8Array
  readonly plan: ModelPlan
  /** The model's input, its dims behind the samples, and its values for this shard's samples. */
  readonly input: string
  readonly dims: readonly number[]
  readonly values: Float32Array
  /** Samples of a batch. */
  readonly batch: number
  /** Samples before these, and of all shards. */
  readonly first: number
  readonly total: number
}

/** Then for each stage, once its ranges are merged, the quantizers of its tensors. */
export interface ShardRanges {
  readonly quantizers: readonly (readonly [tensor: string, quantizer: ActivationQuantizer])[]
}

/** And once its observations are merged the solutions of the stage, by layer name. */
export interface ShardSolutions {
  readonly solutions: readonly (readonly [name: string, bytes: Uint8Array])[]
}

const quiet: StageContext = {
  signal: undefined,
  onProgress: () => {},
  timed: (_, act) => act(),
}

const isTask = (message: unknown): message is ShardTask =>
  typeof message === 'object' && message !== null && 'plan' in message
const isRanges = (message: unknown): message is ShardRanges =>
  typeof message === 'object' && message !== null && 'quantizers' in message
const isSolutions = (message: unknown): message is ShardSolutions =>
  typeof message === 'object' && message !== null && 'solutions' in message

const message = (): Promise<unknown> => new Promise((resolve) => process.once('message', resolve))

function batchesOf({ input, dims, values, batch }: ShardTask): Feeds[] {
  const each = batch * dims.reduce((product, dim) => product * dim, 1)
  return Array.from({ length: Math.ceil(values.length / each) }, (_, i) => {
    const data = values.slice(i * each, (i + 1) * each)
    return { [input]: { type: 'float32', dims: [(data.length / each) * batch, ...dims], data } }
  })
}

async function work(): Promise<void> {
  const task = await message()
  if (!isTask(task)) throw new TypeError('shard: expected a task first')
  const { model, plan, first, total } = task
  const planned = await joinPlan(await openModel(model), plan)
  const executor = await createExecutor({ threads: 1 })
  const shard = { batches: batchesOf(task), first, total }
  const streams = new Streams(await createOrtWebRunner({ threads: 1 }), planned.float, shard, planned.stages)
  await streams.plan()
  let network = planned.float
  for (const stage of planned.stages) {
    const ranges = message()
    process.send?.(stageBytes(await advanceStage(planned, streams, network, quiet)))
    const fixed = await ranges
    if (!isRanges(fixed)) throw new TypeError('shard: expected quantizers')
    network = network.with([], new Map(fixed.quantizers))
    await streams.fix(network)
    const answer = message()
    process.send?.(stageBytes(await observeStage(planned, streams, network, executor, quiet)))
    const solved = await answer
    if (!isSolutions(solved)) throw new TypeError('shard: expected solutions')
    network = network.with(
      solved.solutions.map(([name, bytes]) => {
        const own = planned.byName.get(name)
        if (own === undefined) throw new TypeError(`shard: no layer is called '${name}'`)
        return { layer: own.layer, quantized: quantizedWeight(own, solutionFrom(bytes)) }
      }),
    )
    if (stage.replay) await streams.replay(network, quiet)
    await streams.release()
  }
  await streams.close()
  await executor.close()
}

await work()
process.disconnect()
