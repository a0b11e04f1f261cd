/** The two streams against ONNX Runtime running the whole model: linear work, right values, any budget. */
import type { ModelProto } from 'onnx-buf'
import { describe, expect, it } from 'vitest'
import { openScratch } from '#scratch'
import type { OpenScratch, ScratchFile } from '#src/calibration/scratch.js'
import { wholeShard } from '#src/calibration/shard.js'
import { Streams } from '#src/calibration/streams.js'
import type { OutputPair, Pair } from '#src/calibration/streamTensors.js'
import { type GraphIndex, indexGraph } from '#src/onnx/graph.js'
import type { Layer } from '#src/onnx/layer.js'
import { findLayers, readWeights } from '#src/onnx/layers.js'
import { encodeModel } from '#src/onnx/model.js'
import { Network, type SolvedLayer } from '#src/onnx/network.js'
import { planStages } from '#src/onnx/stages.js'
import type { Feeds, Tensor } from '#src/tensor/tensor.js'
import * as b from '../onnx/build.js'
import { createCountingRunner } from './counting.js'

const WIDTH = 6
const SAMPLES = 4

/** MatMul and Relu, `depth` times, with a residual branch from every second activation to the one after next. */
function chain(depth: number): ModelProto {
  const nodes = []
  const weights = []
  let last = 'x'
  for (let i = 0; i < depth; i++) {
    weights.push(b.floats(`w${i}`, [WIDTH, WIDTH], b.noise(WIDTH * WIDTH, i + 1)))
    nodes.push(b.node('MatMul', [last, `w${i}`], [`y${i}`]), b.node('Relu', [`y${i}`], [`z${i}`]))
    last = `z${i}`
    if (i >= 2 && i % 2 === 0) {
      nodes.push(b.node('Add', [last, `z${i - 2}`], [`s${i}`]))
      last = `s${i}`
    }
  }
  return b.model(nodes, weights, [b.value('x', b.DataType.FLOAT, ['n', WIDTH])], [last])
}

function feedsOf(batches: number): Feeds[] {
  return Array.from({ length: batches }, (_, i) => ({
    x: { type: 'float32', dims: [SAMPLES, WIDTH], data: b.noise(SAMPLES * WIDTH, 100 + i) } satisfies Tensor,
  }))
}

/** A layer with weights cut in half as the "quantized" ones. */
function halvedLayer(graph: GraphIndex, layer: Layer): SolvedLayer {
  const values = readWeights(graph, layer).map((w) => w / 2)
  const codes = new Uint8Array(values.length)
  const scales = new Float32Array(layer.groups * layer.neurons)
  return { layer, quantized: { levels: 2, codes, scales, blockSize: layer.inputs, zero: 0.5, values } }
}

const context = { signal: undefined, onProgress: () => {} }

const NO_FILE: OpenScratch = async () => null

/** The package's own file, on a disk that is full after so many bytes. */
async function smallFile(bytes: number): Promise<ScratchFile> {
  const file = await openScratch()
  return {
    ...file!,
    async write(at, data) {
      if (at + data.length > bytes) throw new Error('ENOSPC')
      await file!.write(at, data)
    },
  }
}

/** Walks through all stages and halves each layer's weights. */
async function walk(model: ModelProto, feeds: Feeds[], budget?: number, scratch?: OpenScratch) {
  const graph = indexGraph(model)
  const { layers } = findLayers(graph)
  const runner = await createCountingRunner()
  let network = Network.of(model)
  const streams = new Streams(runner, network, wholeShard(feeds), planStages(graph, layers), budget, scratch)
  const plan = await streams.plan()
  const planned = new Map(runner.runs)
  const measured: string[] = []
  const outputs = feeds.map(() => new Map<string, Pair>())
  for (const stage of streams.stages) {
    const onOutput = ({ tensor, firstSample, ...pair }: OutputPair) => {
      measured.push(tensor)
      outputs[firstSample / SAMPLES]!.set(tensor, pair)
    }
    await streams.advance(network, { ...context, onOutput })
    network = network.with(stage.quantize.map((layer) => halvedLayer(graph, layer)))
    await streams.release()
  }
  const last = (await streams.tensors(network, 0, graph.outputs)).get(graph.outputs[0]!)!
  const { recomputed } = streams
  await streams.close()
  const runs = new Map([...runner.runs].map(([name, count]) => [name, count - (planned.get(name) ?? 0)]))
  return { graph, plan, runs, measured, outputs, last, runner, recomputed }
}

describe('Streams', () => {
  it('runs every node of a 30-layer chain once per stream and batch', async () => {
    const feeds = feedsOf(2)
    const { runs, measured, runner } = await walk(chain(30), feeds)
    expect(runs.size).toBe(30 + 30 + 14)
    // Nothing before the first layer is quantized, so the input of the first MatMul exists once; all else twice.
    for (const [name, count] of runs) expect(count, name).toBe(2 * feeds.length)
    expect(new Set(measured).size).toBe(30)
    expect(runner.sessions.open).toBe(0)
  })

  it('computes in the quantized stream what the model with those weights computes', async () => {
    const model = chain(7)
    const feeds = feedsOf(3)
    const { outputs, last, graph } = await walk(model, feeds)
    const halved = chain(7)
    for (const tensor of halved.graph!.initializer) {
      const values = new Float32Array(tensor.rawData!.slice().buffer).map((w) => w / 2)
      tensor.rawData = new Uint8Array(values.buffer)
    }
    for (const whole of [model, halved]) whole.graph!.output.push(b.value('y6'))
    for (const [batch, feed] of feeds.entries()) {
      const x = b.tensor([SAMPLES, WIDTH], feed.x!.data as Float32Array)
      const float = await b.run(encodeModel(model), { x })
      const quantized = await b.run(encodeModel(halved), { x })
      const name = graph.outputs[0]!
      const pairs = [
        ['y6', outputs[batch]!.get('y6')!] as const,
        ...(batch === 0 ? [[name, last] as const] : []),
      ]
      for (const [tensor, pair] of pairs) {
        const difference = (a: Tensor, other: typeof float) =>
          b.relativeDifference(a.data as Float32Array, other[tensor]!.data as Float32Array)
        expect(difference(pair.float, float)).toBeLessThan(1e-6)
        expect(difference(pair.quantized!, quantized)).toBeLessThan(1e-6)
      }
    }
  })

  it('runs every node of a 43-layer chain once, with memory for a third of the batches', async () => {
    const feeds = feedsOf(9)
    const whole = await walk(chain(43), feeds)
    const { plan, runs, recomputed, outputs } = await walk(chain(43), feeds, whole.plan.bytes / 3)
    expect([plan.resident, recomputed]).toEqual([2, 0])
    for (const [name, count] of runs) expect(count, name).toBe(2 * feeds.length)
    expect(outputs).toEqual(whole.outputs)
  })

  it('computes batches again that find no room in the file any more, to the same bytes', async () => {
    const feeds = feedsOf(6)
    const whole = await walk(chain(8), feeds)
    for (const room of [0, 1000, 2000]) {
      const limited = await walk(chain(8), feeds, whole.plan.bytes / 3, () => smallFile(room))
      expect(limited.recomputed).toBeGreaterThan(0)
      expect(limited.outputs).toEqual(whole.outputs)
    }
  })

  it('computes batches beyond the budget again where there is no file, and says how many', async () => {
    const model = chain(6)
    const feeds = feedsOf(4)
    const whole = await walk(model, feeds)
    expect(whole.plan.resident).toBe(4)
    for (const resident of [0, 1, 3]) {
      const limited = await walk(model, feeds, (whole.plan.bytes / 4) * (resident + 0.5), NO_FILE)
      expect([limited.plan.resident, limited.recomputed]).toEqual([resident, 4 - resident])
      limited.outputs.forEach((tensors, batch) => {
        for (const [name, pair] of tensors) {
          expect(pair).toEqual(whole.outputs[batch]!.get(name))
        }
      })
    }
  })

  it('holds outputs that nothing reads for the first batch alone', async () => {
    const model = chain(6)
    for (const name of ['z0', 'z1', 'z2', 'z3']) model.graph!.output.push(b.value(name))
    const one = (await walk(model, feedsOf(1))).plan
    const two = (await walk(model, feedsOf(2))).plan
    const three = (await walk(model, feedsOf(3))).plan
    const plain = async (batches: number) => (await walk(chain(6), feedsOf(batches))).plan.bytes
    expect(two.bytes - one.bytes).toBe((await plain(2)) - (await plain(1)))
    expect(three.bytes - two.bytes).toBe(two.bytes - one.bytes)
    expect(one.bytes).toBeGreaterThan(await plain(1))
  })

  it('computes outputs of the model again for samples that judge it, where there is no room to hold them', async () => {
    const model = chain(6)
    for (const name of ['z0', 'z1', 'z2', 'z3']) model.graph!.output.push(b.value(name))
    const graph = indexGraph(model)
    const { layers } = findLayers(graph)
    const judged = async (budget?: number) => {
      let network = Network.of(model)
      const shard = wholeShard(feedsOf(2), feedsOf(4).slice(2))
      const stages = planStages(graph, layers)
      const streams = new Streams(await createCountingRunner(), network, shard, stages, budget)
      const plan = await streams.plan()
      for (const stage of stages) {
        await streams.advance(network, context)
        network = network.with(stage.quantize.map((layer) => halvedLayer(graph, layer)))
        await streams.release()
      }
      const held = streams.peakBytes
      const outputs = [0, 2, 3].map((batch) => streams.tensors(network, batch, graph.computedOutputs))
      return { plan, held, outputs: await Promise.all(outputs) }
    }
    const roomy = await judged()
    const tight = await judged(roomy.plan.bytes - 1)
    expect([roomy, tight].map(({ plan }) => plan.resident)).toEqual([4, 4])
    expect(tight.plan.bytes).toBeLessThan(roomy.plan.bytes)
    expect(tight.held).toBeLessThan(roomy.held)
    expect(tight.outputs).toEqual(roomy.outputs)
    expect(roomy.outputs[2]!.size).toBe(graph.computedOutputs.length)
  })

  it.each([
    ['in memory', undefined],
    ['in a file', 0],
  ])('replays the quantized stream when a weight is tied across depth, held %s', async (_, budget) => {
    const w = b.floats('w', [WIDTH, WIDTH], b.noise(WIDTH * WIDTH, 5))
    const nodes = [
      b.node('MatMul', ['x', 'w'], ['a']),
      b.node('Relu', ['a'], ['r']),
      b.node('MatMul', ['r', 'w'], ['y']),
    ]
    const model = b.model(nodes, [w], [b.value('x', b.DataType.FLOAT, ['n', WIDTH])], ['y'])
    const graph = indexGraph(model)
    const { layers } = findLayers(graph)
    expect(layers).toHaveLength(1)
    expect(layers[0]!.uses).toHaveLength(2)
    const feeds = feedsOf(2)
    let network = Network.of(model)
    const stages = planStages(graph, layers)
    const streams = new Streams(await createCountingRunner(), network, wholeShard(feeds), stages, budget)
    await streams.plan()
    const values = readWeights(graph, layers[0]!).map((v) => v / 2)
    for (const stage of streams.stages) {
      await streams.advance(network, context)
      network = network.with(stage.quantize.map((layer) => halvedLayer(graph, layer)))
      if (stage.replay) await streams.replay(network, context)
      await streams.release()
    }
    const halved = b.model(
      nodes,
      [b.floats('w', [WIDTH, WIDTH], values)],
      [b.value('x', b.DataType.FLOAT, ['n', WIDTH])],
      ['y'],
    )
    const expected = await b.run(encodeModel(halved), {
      x: b.tensor([4, WIDTH], feeds[0]!.x!.data as Float32Array),
    })
    const pair = (await streams.tensors(network, 0, ['y'])).get('y')!
    expect(
      b.relativeDifference(pair.quantized!.data as Float32Array, expected.y!.data as Float32Array),
    ).toBeLessThan(1e-6)
    await streams.close()
  })

  it('stops between batches when aborted', async () => {
    const model = chain(3)
    const graph = indexGraph(model)
    const { layers } = findLayers(graph)
    const runner = await createCountingRunner()
    const network = Network.of(model)
    const streams = new Streams(runner, network, wholeShard(feedsOf(8)), planStages(graph, layers))
    await streams.plan()
    await streams.advance(network, context)
    const controller = new AbortController()
    const before = runner.runs.get('y0_node') ?? 0
    const advancing = streams.advance(network, {
      signal: controller.signal,
      onProgress: () => controller.abort(new Error('enough')),
    })
    await expect(advancing).rejects.toThrow('enough')
    expect((runner.runs.get('y0_node') ?? 0) - before).toBeLessThanOrEqual(2)
    await streams.close()
  })

  it('run once, as one, while nothing is quantized', async () => {
    const model = chain(6)
    const graph = indexGraph(model)
    const runner = await createCountingRunner()
    const stages = planStages(graph, findLayers(graph).layers).map((stage) => ({ ...stage, changed: [] }))
    const network = Network.of(model)
    const streams = new Streams(runner, network, wholeShard(feedsOf(3)), stages)
    await streams.plan()
    const planned = new Map(runner.runs)
    const pairs: boolean[] = []
    for (const _ of stages) {
      const onOutput = ({ float, quantized }: OutputPair) => pairs.push(float === quantized)
      await streams.advance(network, { ...context, onOutput })
      await streams.release()
    }
    await streams.close()
    const runs = [...runner.runs].map(([name, count]) => count - (planned.get(name) ?? 0))
    expect(new Set(runs)).toEqual(new Set([3]))
    expect(pairs.length).toBeGreaterThan(0)
    expect(pairs.every((same) => same)).toBe(true)
  })
})
