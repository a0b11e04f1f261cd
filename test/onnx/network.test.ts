/** A network as a value: it never changes, and what it runs is what it writes. ONNX Runtime is the judge. */
import fc from 'fast-check'
import type { ModelProto } from 'onnx-buf'
import { describe, expect, it } from 'vitest'
import { withNodeNames } from '#src/onnx/biasCorrection.js'
import { indexGraph } from '#src/onnx/graph.js'
import type { Format, Layer } from '#src/onnx/layer.js'
import { findLayers } from '#src/onnx/layers.js'
import { encodeModel } from '#src/onnx/model.js'
import { Network, type SolvedLayer } from '#src/onnx/network.js'
import { randomFrom, reals } from '../random.js'
import * as b from './build.js'

const X = { name: 'x', elemType: b.DataType.FLOAT }
const H = { name: 'h', elemType: b.DataType.FLOAT }
const SAMPLES = 3

/** Conv with a bias, Conv without, a tied weight with and without an Add behind it, a Gemm with alpha; nodes lack names. */
function model(): ModelProto {
  const pads = [1, 1, 1, 1]
  return b.model(
    [
      b.node('Conv', ['x', 'w1', 'b1'], ['c1'], { pads }, ''),
      b.node('Relu', ['c1'], ['h'], {}, ''),
      b.node('Conv', ['h', 'w2'], ['c2'], { pads, group: 2 }, ''),
      b.node('GlobalAveragePool', ['c2'], ['p'], {}, ''),
      b.node('Flatten', ['p'], ['f'], {}, ''),
      b.node('MatMul', ['f', 'w3'], ['d'], {}, ''),
      b.node('Add', ['d', 'b3'], ['e'], {}, ''),
      b.node('MatMul', ['e', 'w3'], ['g'], {}, ''),
      b.node('Gemm', ['g', 'w4', 'b4'], ['y'], { transB: 1, alpha: { float: 0.5 }, beta: { float: 2 } }, ''),
    ],
    [
      b.noisy('w1', [4, 2, 3, 3], 1),
      b.noisy('b1', [4], 2),
      b.noisy('w2', [6, 2, 3, 3], 3),
      b.noisy('w3', [6, 6], 4),
      b.noisy('b3', [6], 5),
      b.noisy('w4', [5, 6], 6),
      b.noisy('b4', [5], 7),
    ],
    [b.value('x', b.DataType.FLOAT, ['n', 2, 6, 6])],
    ['y'],
  )
}

/** Random codes and scales; a correction where it is asked for. */
function solvedLayer(layer: Layer, seed: number, corrects: boolean, levels = 15): SolvedLayer {
  const { groups, inputs, neurons } = layer
  const random = randomFrom(seed)
  const codes = Uint8Array.from({ length: groups * inputs * neurons }, () => Math.floor(levels * random()))
  const scales = Float32Array.from({ length: groups * neurons }, () => 0.02 + 0.05 * random())
  const quantized = { levels, codes, scales, blockSize: inputs, zero: (levels - 1) / 2 }
  return { layer, quantized, ...(corrects && { correction: reals(groups * neurons, seed + 1) }) }
}

function subject(): { readonly network: Network; readonly layers: readonly Layer[] } {
  const named = withNodeNames(model())
  return { network: Network.of(named), layers: findLayers(indexGraph(named)).layers }
}

const formatsOf = (layers: readonly Layer[], format: Format): Map<string, Format> =>
  new Map(layers.map(({ name }) => [name, format]))

const feeds = (name: 'x' | 'h', seed: number) => {
  const dims = [SAMPLES, name === 'x' ? 2 : 4, 6, 6]
  return {
    [name]: b.tensor(
      dims,
      b.noise(
        dims.reduce((count, dim) => count * dim, 1),
        seed,
      ),
    ),
  }
}

const run = async (bytes: Uint8Array, given: ReturnType<typeof feeds>, output = 'y'): Promise<Float32Array> =>
  (await b.run(bytes, given))[output]!.data as Float32Array

describe('a network', () => {
  it('computes as a segment what it computes as a file, with any layers solved and corrected, in every format', async () => {
    const { network, layers } = subject()
    expect(layers).toHaveLength(4)
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom('float', 'solved', 'corrected'), { minLength: 4, maxLength: 4 }),
        fc.constantFrom<Format>('float', 'packed', 'qdq'),
        fc.integer({ min: 1, max: 10_000 }),
        async (states, format, seed) => {
          const solved = layers.flatMap((layer, i) =>
            states[i] === 'float' ? [] : [solvedLayer(layer, seed + 2 * i, states[i] === 'corrected')],
          )
          const next = network.with(solved)
          const written = encodeModel(next.write(formatsOf(layers, format), 'test').model)
          const [ran, read] = [
            await run(next.segment([X], ['y']), feeds('x', seed)),
            await run(written, feeds('x', seed)),
          ]
          expect(b.relativeDifference(read, ran)).toBeLessThan(1e-5)
        },
      ),
      { seed: 81, numRuns: 40 },
    )
  })

  it('is cut anywhere: two segments one after the other are the file', async () => {
    const { network, layers } = subject()
    const next = network.with(layers.map((layer, i) => solvedLayer(layer, 10 + i, true)))
    const written = encodeModel(next.write(formatsOf(layers, 'packed'), 'test').model)
    const expected = await run(written, feeds('x', 1))
    const h = await run(next.segment([X], ['h']), feeds('x', 1), 'h')
    const y = await run(next.segment([H], ['y']), { h: b.tensor([SAMPLES, 4, 6, 6], h) })
    expect(b.relativeDifference(y, expected)).toBeLessThan(1e-5)
  })

  it('with corrections adds them to the outputs of every node of their layer', async () => {
    const { network, layers } = subject()
    const tied = layers.find(({ uses }) => uses.length === 2)!
    const { quantized } = solvedLayer(tied, 20, false)
    const correction = reals(6, 21)
    const plain = network.with([{ layer: tied, quantized }])
    const corrected = network.with([{ layer: tied, quantized, correction }])
    // 'd' and 'g' are the outputs before and after the Add: the correction of the first use goes into the Add.
    for (const [input, output] of [
      ['f', 'e'],
      ['e', 'g'],
    ] as const) {
      const given = { [input]: b.tensor([SAMPLES, 6], b.noise(6 * SAMPLES, 22)) }
      const inputs = [{ name: input, elemType: b.DataType.FLOAT }]
      const before = (await b.run(plain.segment(inputs, [output]), given))[output]!.data as Float32Array
      const after = (await b.run(corrected.segment(inputs, [output]), given))[output]!.data as Float32Array
      const expected = before.map((value, i) => value + correction[i % 6]!)
      expect(b.relativeDifference(after, expected)).toBeLessThan(1e-6)
    }
  })

  it('stays as it was when others are made from it', () => {
    const { network, layers } = subject()
    const [first, ...rest] = layers
    const one = network.with([solvedLayer(first!, 1, true)])
    const before = [network, one].map((each) => ({
      segment: each.segment([X], ['y']),
      file: encodeModel(each.write(formatsOf(layers, 'packed'), 'test').model),
      solved: [...each.solved.keys()],
    }))
    const float = encodeModel(network.float)
    one.with(rest.map((layer, i) => solvedLayer(layer, 30 + i, true)))
    one.with([solvedLayer(first!, 40, true)])
    network.with(layers.map((layer, i) => solvedLayer(layer, 50 + i, false)))
    for (const [i, each] of [network, one].entries()) {
      expect(each.segment([X], ['y'])).toEqual(before[i]!.segment)
      expect(encodeModel(each.write(formatsOf(layers, 'packed'), 'test').model)).toEqual(before[i]!.file)
      expect([...each.solved.keys()]).toEqual(before[i]!.solved)
    }
    expect(encodeModel(network.float)).toEqual(float)
    expect([network.isFloat, one.isFloat]).toEqual([true, false])
  })

  it('does not depend on the order or the portions in which its layers were solved', async () => {
    const { network, layers } = subject()
    const solved = layers.map((layer, i) => solvedLayer(layer, 60 + i, true))
    const atOnce = network.with(solved)
    const oneByOne = solved.toReversed().reduce((made, entry) => made.with([entry]), network)
    const [a, c] = await Promise.all(
      [atOnce, oneByOne].map((each) => run(each.segment([X], ['y']), feeds('x', 61))),
    )
    expect(a).toEqual(c)
  })

  it('whose layer is solved again holds the new solution and correction alone', async () => {
    const { network, layers } = subject()
    const others = layers.slice(1).map((layer, i) => solvedLayer(layer, 70 + i, true))
    const [former, latter] = [80, 90].map((seed) => solvedLayer(layers[0]!, seed, true))
    const again = network.with([former!, ...others]).with([latter!])
    const once = network.with([latter!, ...others])
    expect(await run(again.segment([X], ['y']), feeds('x', 2))).toEqual(
      await run(once.segment([X], ['y']), feeds('x', 2)),
    )
    const written = encodeModel(again.write(formatsOf(layers, 'float'), 'test').model)
    expect(
      b.relativeDifference(
        await run(written, feeds('x', 2)),
        await run(once.segment([X], ['y']), feeds('x', 2)),
      ),
    ).toBeLessThan(1e-5)
  })

  it('without any solution is the float model', async () => {
    const { network } = subject()
    const expected = await run(encodeModel(model()), feeds('x', 5))
    expect(await run(network.segment([X], ['y']), feeds('x', 5))).toEqual(expected)
    expect(await run(encodeModel(network.write(new Map(), '').model), feeds('x', 5))).toEqual(expected)
  })
})
