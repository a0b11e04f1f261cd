/**
 * `npm run test:everywhere [-- runtime…]`: the suite in every runtime and mode, as a table, then the examples. All hashes must equal those of
 * expected.json; `--update` writes that file from Node's result, after a change that is meant to change bytes.
 *
 * A runtime that is not installed is skipped with the command that installs it; with CI=true it counts as failed.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { type Example, examples, runExample } from './examples.js'
import { type Runtime, runtimes, versionOf } from './runtimes.js'
import { serveSuite } from './server.js'
import { stage } from './stage.js'
import type { SuiteResult } from './suite.js'

type Hashes = Readonly<Record<string, string>>

interface Row {
  readonly cells: readonly string[]
  readonly state: 'passed' | 'failed' | 'skipped'
  readonly details?: string
}

const EXPECTED = 'test/conformance/expected.json'
const REPORT = 'node_modules/.cache/gpfq/everywhere.json'
const CI = process.env.CI === 'true'

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { update: { type: 'boolean', default: false } },
})

let expected = JSON.parse(readFileSync(EXPECTED, 'utf8')) as Hashes
await stage()
const server = await serveSuite()
const rows: Row[] = []
try {
  print(['runtime', 'version', 'mode', 'threads', 'result', 'time'])
  for (const runtime of runtimes(server)) {
    const wanted = positionals.length === 0 || positionals.some((name) => matches(runtime.name, name))
    if (wanted) await runRuntime(runtime)
  }
  const wanted = positionals.length === 0 || positionals.includes('examples')
  if (wanted) for (const example of examples) await tryExample(example)
} finally {
  server.close()
}
finish()

async function runRuntime(runtime: Runtime): Promise<void> {
  if (runtime.program === null) {
    add({
      cells: [runtime.name, '', '', '', `skipped; install it with: ${runtime.install}`],
      state: CI ? 'failed' : 'skipped',
    })
    return
  }
  const version = versionOf(runtime)
  for (const { label, modes, run } of runtime.runs) {
    const waiting = [...modes]
    try {
      await run(modes, (result) => {
        const mode = waiting.shift() ?? ''
        const how = [label, mode.startsWith('web') ? 'Web Workers' : '', result.mode]
          .filter(Boolean)
          .join(', ')
        add(judge(result, [runtime.name, version, how, String(result.threads)]))
      })
      if (waiting.length > 0)
        throw new Error(`expected ${modes.length} results, got ${modes.length - waiting.length}`)
    } catch (error) {
      const details = error instanceof Error ? error.message : String(error)
      for (const mode of waiting) {
        add({ cells: [runtime.name, version, label, mode, 'FAILED'], state: 'failed', details })
      }
    }
  }
}

async function tryExample(example: Example): Promise<void> {
  const { folder, runtime, program, install } = example
  const cells = [runtime, '', `examples/${folder}`, '']
  if (program === null) {
    add({ cells: [...cells, `skipped; install it with: ${install}`], state: CI ? 'failed' : 'skipped' })
    return
  }
  const start = performance.now()
  try {
    await runExample(example)
    add({
      cells: [...cells, 'runs', `${((performance.now() - start) / 1000).toFixed(1)} s`],
      state: 'passed',
    })
  } catch (error) {
    add({ cells: [...cells, 'FAILED'], state: 'failed', details: String(error) })
  }
}

function judge(result: SuiteResult & { warnings?: string[] }, cells: readonly string[]): Row {
  const { hashes, fastMath, milliseconds } = result
  if (values.update && rows.length === 0) {
    expected = hashes
    writeFileSync(EXPECTED, `${JSON.stringify(hashes, null, 2)}\n`)
  }
  const names = [...new Set([...Object.keys(expected), ...Object.keys(hashes)])]
  const different = names.filter((name) => expected[name] !== hashes[name])
  const faults = different.map((name) => `${name}: expected ${expected[name]}, got ${hashes[name]}`)
  // A page that may not share memory says so once, naming the cure.
  const cured = result.warnings?.filter((text) => text.includes('Cross-Origin-Embedder-Policy')).length ?? 0
  const due = result.mode === 'worker' ? 1 : 0
  if (result.warnings !== undefined && cured !== due) faults.push(`expected ${due} warnings, got ${cured}`)
  if (/^Node 2[24]$/.test(cells[0] ?? '') && !fastMath) faults.push('expected relaxed SIMD, got none')
  if (cells[2]?.startsWith('isolated') && result.mode !== 'pool')
    faults.push(`expected the pool, got ${result.mode}`)
  const same = `${names.length - different.length}/${names.length} equal${fastMath ? ', relaxed SIMD near' : ''}`
  return {
    cells: [...cells, same, `${(milliseconds / 1000).toFixed(1)} s`],
    state: faults.length === 0 ? 'passed' : 'failed',
    details: faults.join('\n'),
  }
}

function add(row: Row): void {
  const said = rows.some(({ details }) => details === row.details)
  rows.push(row)
  print(row.cells)
  if (row.details) console.log(said ? '    as above' : row.details.replace(/^/gm, '    '))
}

function print(cells: readonly string[]): void {
  const widths = [9, 16, 28, 7, 12, 7]
  console.log(
    cells
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join(' ')
      .trimEnd(),
  )
}

function matches(runtime: string, name: string): boolean {
  return runtime.toLowerCase().replace(' ', '').startsWith(name.toLowerCase().replace(' ', ''))
}

function finish(): void {
  const count = (state: Row['state']): number => rows.filter((row) => row.state === state).length
  const hashes = new Set(Object.values(expected))
  console.log(
    `${count('passed')} passed, ${count('failed')} failed, ${count('skipped')} skipped; ${hashes.size} cases a row, one hash each`,
  )
  mkdirSync('node_modules/.cache/gpfq', { recursive: true })
  // The fields of vitest's report that .ci/run counts.
  const report = { numPassedTests: count('passed'), numFailedTests: count('failed') }
  writeFileSync(REPORT, JSON.stringify(report))
  process.exitCode = count('failed') > 0 ? 1 : 0
}
