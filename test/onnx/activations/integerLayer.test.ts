/**
 * The numbers of models on integers: ONNX Runtime Web against a simulation in float64 that rounds activations and nothing else.
 * Integer kernels round a value near the middle of two codes the other way now and then, so differences are stated in steps of
 * the last quantized tensor.
 */
import { describe, expect, it } from 'vitest'
import { encodeModel } from '#src/onnx/model.js'
import type { Integers } from '../../../src/onnx/activations/integers.js'
import type { Format } from '../../../src/onnx/layer.js'
import * as b from '../build.js'
import { type IntegerModel, valuesOfFeeds, writeOnIntegers } from './integerModels.js'
import { feedsOfNet, modelOfNet, NETS, type Net } from './nets.js'
import { evaluate, type Values } from './simulate.js'

/** What the graph's nodes before the last, a Tanh, hand to it. */
const LAST = 'the input of y'

function dynamicNodes({ plan }: Integers): Set<string> {
  return new Set([...plan.layers].flatMap(([name, kind]) => (kind === 'dynamic' ? [name] : [])))
}

/** The largest and the mean difference of the outputs, in units of their largest magnitude. */
async function differences(
  { written, floats, integers }: IntegerModel,
  feeds: Record<string, b.ort.Tensor>,
): Promise<{ largest: number; mean: number }> {
  const expected = evaluate(floats, valuesOfFeeds(feeds), {
    quantizers: withMoved(integers),
    dynamic: dynamicNodes(integers),
  })
  const got = await b.run(encodeModel(written), feeds)
  const name = Object.keys(got)[0]!
  const data = got[name]!.data as Float32Array
  const reference = expected.get(name) as Values
  expect(got[name]!.dims).toEqual(reference.dims)
  const errors = Array.from(data, (value, i) => Math.abs(value - reference.data[i]!))
  const size = Math.max(...reference.data.map(Math.abs))
  return {
    largest: Math.max(...errors) / size,
    mean: errors.reduce((a, c) => a + c, 0) / errors.length / size,
  }
}

const withMoved = ({ plan, quantizers }: Integers) =>
  new Map(
    [...plan.tensors, ...plan.like.keys()].map((t) => [t, quantizers.get(plan.like.get(t) ?? t)!] as const),
  )
