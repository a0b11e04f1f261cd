/**
 * `npm run bench [-- --short] [--json FILE] [TABLE…]`: every claim about speed, one table for each question.
 * bench/README.md lists the tables and says how to read them.
 */
import { writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { benchConvolutions } from './convolutions.js'
import { benchFormats } from './formats.js'
import { benchGrowth } from './growth.js'
import { benchInt8 } from './int8.js'
import { benchInt8Forms } from './int8Forms.js'
import { benchIntegers } from './integers.js'
import { benchKernels } from './kernels.js'
import { benchLayers, SHAPES } from './layers.js'
import { benchLevels } from './levels.js'
import { describeMachine, measureMachine } from './machine.js'
import { benchMethods } from './methods.js'
import { benchModels } from './models.js'
import { benchPlain } from './plain.js'
import { benchQdq } from './qdq.js'
import { benchThreadsModel } from './scheduler.js'
import { benchSizes, benchStartup } from './startup.js'
import { markdown, type Table } from './table.js'
import { benchWeb } from './web.js'
import { denseWork } from './work.js'

const { values, positionals } = parseArgs({
  options: { short: { type: 'boolean', default: false }, json: { type: 'string' } },
  allowPositionals: true,
})
const short = values.short
const machine = await measureMachine()
console.log(describeMachine(machine))
console.log()

const repetitions = short ? 2 : 7
const threads = Array.from({ length: Math.max(1, Math.ceil(Math.log2(machine.cores)) + 1) }, (_, i) => 2 ** i)
const shapes = short ? SHAPES.slice(1, 3) : SHAPES
const all: Record<string, () => Promise<readonly (Table | null)[]>> = {
  kernels: async () => [await benchKernels(short ? 5 : 30)],
  layers: () => benchLayers(repetitions, shapes, threads),
  levels: async () => [await benchLevels(shapes, repetitions)],
  convolutions: async () => [await benchConvolutions(repetitions, short ? 1 : 6)],
  integers: async () => [await benchIntegers(shapes, repetitions)],
  plain: async () => [await benchPlain(shapes.slice(0, short ? 1 : 5), repetitions)],
  'threads-model': async () => [
    await benchThreadsModel(
      shapes.flatMap((shape) => [true, false].map((same) => () => denseWork(shape, same))),
      repetitions,
    ),
  ],
  models: async () => (short ? [] : [await benchModels(threads.at(-1)!, repetitions)]),
  methods: () => benchMethods(repetitions, short ? 2 : 7),
  growth: async () => [await benchGrowth(1, repetitions, short ? 1 : 4)],
  startup: async () => [await benchStartup(repetitions)],
  sizes: async () => [await benchSizes()],
  int8: () => benchInt8(short),
  'int8-forms': () => benchInt8Forms(short),
  web: async () => (short ? [] : [await benchWeb(threads, Math.ceil(repetitions / 2))]),
  formats: async () => [await benchFormats(short ? 2 : 15, short ? 128 : 1024)],
  qdq: async () => [await benchQdq(short ? 2 : 50, short ? 128 : 1024)],
}
const wanted = positionals.length > 0 ? positionals : Object.keys(all)
const tables: Table[] = []
for (const name of wanted) {
  const run = all[name]
  if (run === undefined) {
    console.error(`bench: expected one of ${Object.keys(all).join(', ')}, got ${name}`)
    process.exit(2)
  }
  for (const result of await run()) {
    if (result === null) continue
    tables.push(result)
    console.log(markdown(result))
  }
}
if (values.json !== undefined)
  await writeFile(values.json, `${JSON.stringify({ machine, tables }, null, 1)}\n`)
