/**
 * `npm run bench [-- --short] [--json FILE] [TABLE…]`: every claim about speed, as a table a question. Tables: kernels,
 * layers, plain, models, growth, startup, sizes, formats. bench/README.md says how to read them.
 */
import { writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { benchFormats } from './formats.js'
import { benchKernels } from './kernels.js'
import { benchLayers, benchPlain, SHAPES } from './layers.js'
import { describeMachine, measureMachine } from './machine.js'
import { benchGrowth, benchModels } from './models.js'
import { benchSizes, benchStartup } from './startup.js'
import { markdown, type Table } from './table.js'

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
const shapes = short ? SHAPES.slice(0, 2) : SHAPES
const all: Record<string, () => Promise<readonly (Table | null)[]>> = {
  kernels: async () => [await benchKernels(machine, short ? 5 : 30)],
  layers: () => benchLayers(machine, repetitions, shapes, threads),
  plain: async () => [await benchPlain(short ? shapes.slice(1, 2) : shapes.slice(0, 5), short ? 1 : 3)],
  models: async () => (short ? [] : [await benchModels(threads.at(-1)!, 3)]),
  growth: async () => [await benchGrowth(1, short ? 1 : repetitions, short ? 1 : 4)],
  startup: async () => [await benchStartup(repetitions)],
  sizes: async () => [await benchSizes()],
  formats: async () => [await benchFormats(short ? 2 : 15, short ? 128 : 1024)],
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
