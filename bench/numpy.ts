/** The NumPy twin of ../shared/oracle, if Python, NumPy and the script are there: a process of its own, same shapes. */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Cell } from './table.js'
import type { Convolution, Shape } from './work.js'

const SCRIPT = join('..', 'shared', 'oracle', 'numpy_peer.py')
const PATCHES = join('bench', 'patches.py')

interface Seconds {
  readonly min: number
  readonly median: number
}

/**
 * Times its faster form, after gathering the patches if the layer is a convolution. The script reports a minimum and a
 * median only. Null if it cannot run.
 */
export async function numpyTimes(
  { samples, inputs, neurons }: Shape,
  convolution: Convolution | null,
  same: boolean,
  repetitions: number,
): Promise<Cell | null> {
  if (!existsSync(SCRIPT)) return null
  try {
    const options = ['--threads', 1, '--reps', repetitions, ...(same ? ['--same'] : [])]
    const forms = await python(SCRIPT, [samples, inputs, neurons, ...options])
    const seconds = forms
      .map((line) => (JSON.parse(line) as { readonly seconds: Seconds }).seconds)
      .reduce((best, form) => (form.min < best.min ? form : best))
    if (convolution === null) return show(seconds)
    const { images, channels, side } = convolution
    const lines = await python(PATCHES, [images, channels, side, repetitions])
    const gather = JSON.parse(lines[0] ?? '') as Seconds
    const streams = same ? 1 : 2
    return `${show(seconds)} + ${show({ min: streams * gather.min, median: streams * gather.median })}`
  } catch {
    return null
  }
}

const show = ({ min, median }: Seconds): string => `${min.toFixed(4)} / ${median.toFixed(4)}`

/** The lines that a script prints. */
async function python(script: string, args: readonly (string | number)[]): Promise<string[]> {
  const env = { ...process.env }
  // Older OpenBLAS builds need these variables; they slow a current build down.
  delete env.OPENBLAS_CORETYPE
  delete env.OPENBLAS_L2_SIZE
  const { stdout } = await promisify(execFile)('python3', [script, ...args.map(String)], { env })
  return stdout.trim().split('\n')
}
