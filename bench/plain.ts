/** The plain TypeScript recursion in float64: the speed without WebAssembly. Timed on some neurons, and scaled up. */
import { createExecutor } from '#src/executor/choose.js'
import { gpfq } from '#src/reference/gpfq.js'
import { type Case, cell, interleave, timing } from './measure.js'
import { type Row, type Table, table } from './table.js'
import { denseWork, quantize, type Shape, streamsOf } from './work.js'

/** Neurons that the plain recursion is timed on. */
const PART = 2

export async function benchPlain(shapes: readonly Shape[], repetitions: number): Promise<Table> {
  const rows: Row[] = []
  const executor = await createExecutor({ threads: 1 })
  for (const shape of shapes) {
    const { samples, inputs, neurons } = shape
    const { x, xq } = streamsOf(samples * inputs, false)
    const work = denseWork(shape, false)
    const weights = Float32Array.from(
      { length: inputs * PART },
      (_, i) => work.weights[Math.floor(i / PART) * neurons + (i % PART)]!,
    )
    const cases: Case[] = [
      {
        name: 'plain',
        run: () =>
          gpfq({
            weights,
            samples: x,
            quantizedSamples: xq ?? x,
            rows: samples,
            inputs,
            neurons: PART,
            levels: 15,
            scales: new Float32Array(PART).fill(0.01),
            blockSize: inputs,
            zero: 7,
          }),
      },
      { name: 'gpfq', run: () => quantize(executor, work) },
    ]
    const times = await interleave(cases, repetitions)
    const plain = timing(
      'plain',
      times.get('plain')!.seconds.map((seconds) => (seconds * neurons) / PART),
    )
    const own = times.get('gpfq')!
    rows.push({
      shape: work.name,
      'plain TypeScript': cell(plain),
      gpfq: cell(own),
      ratio: `${(plain.min / own.min).toFixed(0)}×`,
    })
  }
  await executor.close()
  return table(
    `Baseline: direct recursion in plain TypeScript (${PART} neurons, times K / ${PART}), one thread: seconds min / median ± spread`,
    ['shape', 'plain TypeScript', 'gpfq', 'ratio'],
    rows,
  )
}
