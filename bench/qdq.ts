/**
 * What the Flatten of format `qdq` is for and what it costs: one MatMul with it, as it is written, and without it, so that ONNX
 * Runtime fuses DequantizeLinear and MatMul. Native ONNX Runtime is in the table where onnxruntime-node is installed.
 */
import { createOrtNodeRunner, createOrtWebRunner } from '#src/calibration/onnxRuntime.js'
import { outputSums, relativeOf } from '#src/calibration/outputErrors.js'
import type { Runner } from '#src/calibration/runner.js'
import { quantizeModel } from '#src/model/quantizeModel.js'
import { GraphEdit } from '#src/onnx/edit.js'
import { indexGraph } from '#src/onnx/graph.js'
import type { Format } from '#src/onnx/layer.js'
import { decodeModel, encodeModel } from '#src/onnx/model.js'
import type { ScalePer } from '#src/options.js'
import type { Feeds } from '#src/tensor/tensor.js'
import { type Case, cell, interleave, uniform } from './measure.js'
import { denseChain } from './model.js'
import { type Row, type Table, table } from './table.js'

const WEIGHTS: readonly { readonly type: string; readonly levels: number; readonly scalePer: ScalePer }[] = [
  { type: 'int2', levels: 3, scalePer: 'neuron' },
  { type: 'int4', levels: 15, scalePer: 'neuron' },
  { type: 'int4', levels: 15, scalePer: { group: 32 } },
  { type: 'int8', levels: 255, scalePer: 'neuron' },
  { type: 'int8', levels: 255, scalePer: { group: 32 } },
]

export async function benchQdq(repetitions: number, width: number): Promise<Table> {
  const runners: Runner[] = [await createOrtWebRunner({ threads: 1 })]
  try {
    runners.push(await createOrtNodeRunner({ threads: 1 }))
  } catch {
    // not installed: the table has one runner
  }
  const float = encodeModel(denseChain(1, width))
  const rows: Row[] = []
  for (const { type, levels, scalePer } of WEIGHTS) {
    const write = async (format: Format): Promise<Uint8Array> => {
      const options = { method: 'msq', radius: { rule: 'max' }, threads: 1 } as const
      return (await quantizeModel(float, { runner: runners[0]!, ...options, levels, scalePer, format })).model
    }
    const written = await write('qdq')
    const forms = [
      { form: 'Flatten', model: written },
      { form: 'none', model: withoutFlatten(written) },
    ]
    const values = await runners[0]!.load(await write('float'))
    for (const runner of runners) {
      const sessions = await Promise.all(forms.map(({ model }) => runner.load(model)))
      const cases = forms.flatMap(({ form }, i): Case[] =>
        [1, 64].map((samples) => {
          const feeds = inputs(samples, width)
          return { name: `${form} ${samples}`, run: () => sessions[i]!.run(feeds) }
        }),
      )
      const times = await interleave(cases, repetitions)
      for (const [i, { form, model }] of forms.entries()) {
        const feeds = inputs(64, width)
        const [expected, got] = [await values.run(feeds), await sessions[i]!.run(feeds)]
        rows.push({
          weights: `${type}, a scale per ${scalePer === 'neuron' ? 'neuron' : 'block of 32'}`,
          runner: runner.name.split(' ')[0]!,
          between: form,
          bytes: `${model.length}`,
          error: (relativeOf(outputSums(expected.y!, got.y!)) ?? 0).toExponential(1),
          '1 row, ms': cell(times.get(`${form} 1`)!, 'ms'),
          '64 rows, ms': cell(times.get(`${form} 64`)!, 'ms'),
        })
      }
      for (const session of sessions) await session.close()
    }
    await values.close()
  }
  return table(
    `qdq: a MatMul of ${width}², with and without a Flatten behind DequantizeLinear (min / median ± spread)`,
    ['weights', 'runner', 'between', 'bytes', 'error', '1 row, ms', '64 rows, ms'],
    rows,
  )
}

/** Rows of uniform numbers, in which one number is 100 times as large as the others. */
function inputs(samples: number, width: number): Feeds {
  const next = uniform(3)
  const data = Float32Array.from(
    { length: samples * width },
    (_, i) => (2 * next() - 1) * (i % width === 5 ? 100 : 1),
  )
  return { x: { type: 'float32', dims: [samples, width], data } }
}

/** The model with the MatMul reading the DequantizeLinear itself. */
function withoutFlatten(bytes: Uint8Array): Uint8Array {
  const graph = indexGraph(decodeModel(bytes))
  const edit = new GraphEdit(graph)
  for (const { opType, input, output } of graph.nodes) {
    if (opType !== 'Flatten') continue
    for (const reader of graph.consumers(output[0]!))
      edit.setInput(reader, graph.nodes[reader]!.input.indexOf(output[0]!), input[0]!)
  }
  return encodeModel(edit.finish())
}
