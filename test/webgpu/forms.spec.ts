/**
 * Every form that gpfq writes, loaded with the webgpu provider and compared with wasm on the same input. It prints the table of
 * docs/WEBGPU.md: what loads, which nodes run on the CPU, how far results differ.
 */
import { expect, test } from '@playwright/test'
import { everyForm, type Form } from './forms.js'
import type { FormResult, FormsWindow, FormTask } from './formsPage.js'
import { openPages } from './pages.js'

interface Row extends FormResult {
  readonly name: string
  /** Nodes of the graph as the runtime rewrote it, by operator. */
  readonly gpu: string
  readonly cpu: string
}

test('every written form on WebGPU', async () => {
  const pages = await openPages('test/webgpu/formsPage.ts')
  test.skip(pages === null, 'there is no Chromium')
  try {
    const page = await pages!.open()
    const log: string[] = []
    page.on('console', (message) => log.push(message.text()))
    const adapter = await page.evaluate(() => (globalThis as unknown as FormsWindow).adapter())
    test.skip(adapter === null, 'there is no WebGPU adapter')

    const run = async (form: Form): Promise<Row> => {
      const { type, dims, data } = form.tensor
      const task: FormTask = {
        model: await pages!.add(form.name, form.model),
        type: type === 'float16' ? type : 'float32',
        ...{ dims, values: Array.from(data, Number) },
      }
      log.length = 0
      const result = await page.evaluate(
        (given) => (globalThis as unknown as FormsWindow).runBoth(given),
        task,
      )
      return { name: form.name, ...placements(log), ...result }
    }
    const rows: Row[] = []
    for (const form of await everyForm()) rows.push(await run(form))
    print(`${adapter!.name}, Chromium ${pages!.version}`, rows)
    for (const { name, failure, difference } of rows) {
      const isHalf = name.includes('float16')
      if (isHalf && !adapter!.hasFloat16) expect(failure, name).toContain('f16')
      else if (name.includes('accuracy_level 4')) expect(difference, name).toBeGreaterThan(1e-4)
      else expect(difference ?? failure, name).toBeLessThan(isHalf ? 5e-3 : 1e-5)
    }
  } finally {
    await pages!.close()
  }
})

/** Operators by provider, out of the runtime's verbose log. */
function placements(log: readonly string[]): Pick<Row, 'gpu' | 'cpu'> {
  const counts = { gpu: new Map<string, number>(), cpu: new Map<string, number>() }
  let place: keyof typeof counts | null = null
  const whole = /All nodes placed on \[WebGpu\w+\]. Number of nodes: (\d+)/.exec(log.join('\n'))?.[1]
  if (whole !== undefined) return { gpu: `all ${whole} nodes`, cpu: '–' }
  for (const line of log.flatMap((text) => text.split('\n'))) {
    const found = /placed on \[(\w+)\]/.exec(line)?.[1]
    if (found !== undefined) place = found.startsWith('WebGpu') ? 'gpu' : 'cpu'
    const op = /VerifyEachNodeIsAssignedToAnEp\S*\s+(\w+) \(/.exec(line)?.[1]
    if (found === undefined && op !== undefined && place !== null)
      counts[place].set(op, (counts[place].get(op) ?? 0) + 1)
  }
  const textOf = (ops: ReadonlyMap<string, number>): string =>
    [...ops].map(([op, count]) => (count === 1 ? op : `${count} ${op}`)).join(', ') || '–'
  return { gpu: textOf(counts.gpu), cpu: textOf(counts.cpu) }
}

function print(title: string, rows: readonly Row[]): void {
  console.log(`\n${title}\n\n| form | on the GPU | on the CPU | differs from wasm |\n|---|---|---|---|`)
  for (const { name, gpu, cpu, failure, difference } of rows)
    console.log(`| ${name} | ${gpu} | ${cpu} | ${differenceText(failure, difference)} |`)
}

function differenceText(failure: string | null, difference: number | null): string {
  if (failure !== null) return failure.replace(/^.*Status Message: (?:\S+:\d+ \S+ )?/s, '').trim()
  return difference === 0 ? '0' : (difference ?? 0).toExponential(1)
}
