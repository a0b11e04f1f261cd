/**
 * Table (e): growth. The time when samples, inputs, neurons or depth are doubled four times, with the fitted exponent
 * beside the exponent of the number of operations.
 */
import { createOrtWebRunner } from '#src/calibration/onnxRuntime.js'
import { createExecutor } from '#src/executor/choose.js'
import { quantizeModel } from '#src/model/quantizeModel.js'
import { encodeModel } from '#src/onnx/model.js'
import type { Feeds } from '#src/tensor/tensor.js'
import { type Case, cell, exponent, interleave, type Timing, uniform } from './measure.js'
import { denseChain } from './model.js'
import { type Row, type Table, table } from './table.js'
import { denseWork, operations, quantize, type Shape } from './work.js'

const BASE: Shape = { samples: 2048, inputs: 256, neurons: 128 }

/** Layers, width and samples of the shortest chain: large enough that the start of a session does not dominate. */
const CHAIN = { depth: 2, width: 256, samples: 1024 }

export async function benchGrowth(threads: number, repetitions: number, doublings: number): Promise<Table> {
  const rows: Row[] = []
  const executor = await createExecutor({ threads })
  for (const axis of ['samples', 'inputs', 'neurons'] as const) {
    const values = doubled(BASE[axis], doublings)
    const works = values.map((value) => denseWork({ ...BASE, [axis]: value }, false))
    const cases = works.map(
      (work, i): Case => ({ name: `${values[i]}`, run: () => quantize(executor, work) }),
    )
    const times = await interleave(cases, repetitions)
    const counts = works.map((work) => {
      const { observe, solve } = operations(work)
      return observe + solve
    })
    rows.push(growthRow(axis, values, times, exponent(values, counts)))
  }
  await executor.close()

  const runner = await createOrtWebRunner({ threads })
  const { width, samples, depth: shortest } = CHAIN
  const depths = doubled(shortest, doublings)
  const next = uniform(3)
  const batch = samples / 4
  const feeds: Feeds[] = Array.from({ length: 4 }, () => ({
    x: {
      type: 'float32',
      dims: [batch, width],
      data: Float32Array.from({ length: batch * width }, next),
    },
  }))
  const cases = depths.map((depth): Case => {
    const bytes = encodeModel(denseChain(depth, width))
    return { name: `${depth}`, run: () => quantizeModel(bytes, { calibration: feeds, runner, threads }) }
  })
  rows.push(growthRow('depth of a chain (whole model)', depths, await interleave(cases, repetitions), 1))
  return table(
    `(e) Growth, ${threads} thread: seconds min / median ± spread each time one number is doubled; fitted exponent, and that of the operations`,
    [
      'doubled',
      'from',
      ...Array.from({ length: doublings + 1 }, (_, i) => `× ${2 ** i}`),
      'exponent',
      'of operations',
    ],
    rows,
  )
}

const doubled = (base: number, doublings: number): number[] =>
  Array.from({ length: doublings + 1 }, (_, i) => base * 2 ** i)

const growthRow = (
  name: string,
  values: readonly number[],
  times: ReadonlyMap<string, Timing>,
  expected: number,
): Row => ({
  doubled: name,
  from: `${values[0]}`,
  ...Object.fromEntries(values.map((value, i) => [`× ${2 ** i}`, cell(times.get(`${value}`)!)])),
  exponent: exponent(
    values,
    values.map((value) => times.get(`${value}`)!.min),
  ).toFixed(2),
  'of operations': expected.toFixed(2),
})
