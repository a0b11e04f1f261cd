/** Table (j): the size of the alphabet, 3 levels beside the 15 of all other tables. */
import { createExecutor } from '#src/executor/choose.js'
import { type Case, cell, interleave } from './measure.js'
import { type Row, type Table, table } from './table.js'
import { denseWork, quantize, type Shape } from './work.js'

export async function benchLevels(shapes: readonly Shape[], repetitions: number): Promise<Table> {
  const executor = await createExecutor({ threads: 1 })
  const rows: Row[] = []
  for (const shape of shapes) {
    for (const same of [true, false]) {
      const work = denseWork(shape, same)
      const cases = [15, 3].map(
        (levels): Case => ({ name: `${levels}`, run: () => quantize(executor, work, { levels }) }),
      )
      const times = await interleave(cases, repetitions)
      const [fifteen, three] = [times.get('15')!, times.get('3')!]
      rows.push({
        shape: work.name,
        Xq: same ? '= X' : '≠ X',
        '15 levels': cell(fifteen),
        '3 levels': cell(three),
        '3 / 15': (three.min / fifteen.min).toFixed(2),
      })
    }
  }
  await executor.close()
  return table(
    '(j) Levels, 1 thread: seconds min / median ± spread',
    ['shape', 'Xq', '15 levels', '3 levels', '3 / 15'],
    rows,
  )
}
