/**
 * The same network in the forms that gpfq writes, with and without integers: size, memory and speed. It runs in native ONNX
 * Runtime where onnxruntime-node is installed, else in onnxruntime-web.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createRunner } from '#src/calibration/onnxRuntime.js'
import { saturates } from '#src/calibration/saturation.js'
import { timeInTurn } from '#src/calibration/speed.js'
import { measureMemory } from '#src/cli/memory.js'
import { quantizeModel } from '#src/model/quantizeModel.js'
import type { PlanModelOptions } from '#src/options.js'
import { bigSources } from './int8Models.js'
import { type Row, type Table, table } from './table.js'

const ROUNDED = { levels: 15, method: 'msq', radius: { rule: 'max' }, patches: 64 } as const
const ON_INTEGERS = { activations: { bits: 8 } } as const

const FORMS: readonly { readonly name: string; readonly options: PlanModelOptions }[] = [
  { name: 'packed, activations of 8 bits', options: { ...ROUNDED, ...ON_INTEGERS, format: 'packed' } },
  { name: 'packed, weights only', options: { ...ROUNDED, format: 'packed' } },
  { name: 'qdq, activations of 8 bits', options: { ...ROUNDED, ...ON_INTEGERS, format: 'qdq' } },
  { name: 'qdq, weights only', options: { ...ROUNDED, format: 'qdq' } },
  { name: 'nbits, a scale per neuron', options: { ...ROUNDED, format: 'nbits' } },
  { name: 'nbits, blocks of 32', options: { ...ROUNDED, format: 'nbits', scalePer: { group: 32 } } },
]

export async function benchInt8Forms(short: boolean): Promise<Table[]> {
  const runner = await createRunner({ threads: 1 })
  const folder = await mkdtemp(join(tmpdir(), 'gpfq-bench-'))
  const tables: Table[] = []
  try {
    for (const { name, bytes, feeds } of bigSources(short)) {
      const path = join(folder, 'model.onnx')
      const memoryOf = async (model: Uint8Array): Promise<string> => {
        await writeFile(path, model)
        const growth = await measureMemory({ path, threads: 1, feeds }, new AbortController().signal)
        return growth === null ? '–' : (growth / 1e6).toFixed(0)
      }
      const float = await runner.load(bytes)
      const rows: Row[] = [
        { form: 'float', MB: (bytes.length / 1e6).toFixed(1), 'growth, MB': await memoryOf(bytes) },
      ]
      for (const form of FORMS) {
        const { model } = await quantizeModel(bytes, { ...form.options, calibration: [feeds], runner })
        const written = await runner.load(model)
        const bounds = { runs: 1000, seconds: short ? 1 : 6 }
        const { floatSeconds, quantizedSeconds, runs } = await timeInTurn(float, written, feeds, bounds)
        await written.close()
        rows.push({
          form: form.name,
          MB: (model.length / 1e6).toFixed(1),
          'growth, MB': await memoryOf(model),
          'float, ms': (1e3 * floatSeconds).toPrecision(3),
          ms: (1e3 * quantizedSeconds).toPrecision(3),
          'times as fast': (floatSeconds / quantizedSeconds).toFixed(2),
          runs: `${runs}`,
        })
      }
      await float.close()
      const columns = ['form', 'MB', 'growth, MB', 'float, ms', 'ms', 'times as fast', 'runs']
      tables.push(table(`${name}: forms in ${runner.name}`, columns, rows))
    }
  } finally {
    await rm(folder, { recursive: true })
  }
  console.log(`${runner.name}: sums of integers ${(await saturates(runner)) ? 'saturate' : 'are exact'}\n`)
  return tables
}
