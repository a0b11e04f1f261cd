/**
 * Times a float model and its written one in a process of its own. ONNX Runtime reads its thread count when the first session
 * is created, so one process has one thread count.
 */
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Speed } from '#src/calibration/speed.js'
import type { BatchTask } from './timeBatches.js'

export interface TimingTask extends BatchTask {
  readonly floatPath: string
  readonly writtenPath: string
}

/** @returns for each batch */
export function timeInProcess(task: TimingTask): Promise<readonly Speed[]> {
  return new Promise((resolve, reject) => {
    const child = fork(fileURLToPath(new URL('./timingProcess.mjs', import.meta.url)), [], {
      serialization: 'advanced',
    })
    child.on('message', (speeds: readonly Speed[]) => resolve(speeds))
    child.on('error', reject)
    child.on('exit', (code) => reject(new Error(`the timing process ended with code ${code}`)))
    child.send(task)
  })
}
