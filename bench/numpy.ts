/** The NumPy twin of ../shared/oracle, where there are Python, NumPy and the script: a process of its own, same shapes. */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Cell } from './table.js'
import type { Shape } from './work.js'

const SCRIPT = join('..', 'shared', 'oracle', 'numpy_peer.py')

interface Answer {
  readonly seconds: { readonly min: number; readonly median: number }
}

/** Seconds of its better form, `min / median`: it tells no more of its spread. Null where it cannot run. */
export async function numpyTimes(
  { samples, inputs, neurons }: Shape,
  same: boolean,
  threads: number,
  repetitions: number,
): Promise<Cell | null> {
  if (!existsSync(SCRIPT)) return null
  const args = [samples, inputs, neurons, '--threads', threads, '--reps', repetitions].map(String)
  const env = { ...process.env }
  // Older OpenBLAS builds need these to be safe; a current one is slowed down by them.
  delete env.OPENBLAS_CORETYPE
  delete env.OPENBLAS_L2_SIZE
  try {
    const { stdout } = await promisify(execFile)('python3', [SCRIPT, ...args, ...(same ? ['--same'] : [])], {
      env,
    })
    const answers = stdout
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as Answer).seconds)
    const { min, median } = answers.reduce((best, answer) => (answer.min < best.min ? answer : best))
    return `${min.toFixed(4)} / ${median.toFixed(4)}`
  } catch {
    return null
  }
}
