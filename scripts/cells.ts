/**
 * Finished measurements in a JSON file, so that an interruption does not lose hours of work: a cell that is there is
 * not computed again. Delete the file, or a line of it, to measure again.
 */
import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'

export interface Cell {
  /** Top-1 as a fraction of 1, or perplexity. */
  readonly value: number
  readonly bytes: number
  readonly seconds: number
  readonly peakMemoryBytes: number
  /** Relative output error of each layer; only with `profile`. */
  readonly errors?: readonly number[]
}
export type Cells = Readonly<Record<string, Cell>>

export interface CellStore {
  readonly all: Cells
  compute(key: string, measure: () => Promise<Cell>): Promise<Cell>
}

export async function openCells(path: string): Promise<CellStore> {
  const all: Record<string, Cell> = existsSync(path)
    ? (JSON.parse(await readFile(path, 'utf8')) as Cells)
    : {}
  return {
    all,
    async compute(key, measure) {
      const cell = all[key] ?? (await measure())
      if (all[key] === undefined) {
        all[key] = cell
        await writeFile(path, `${JSON.stringify(all, null, 1)}\n`)
      }
      console.log(key.padEnd(44), cell.value.toFixed(4), `${cell.seconds.toFixed(1)} s`)
      return cell
    },
  }
}
