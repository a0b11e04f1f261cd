/** A run of the command that is killed in the middle, and the same command again: what was lost. */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { layerName, parsed } from '#src/model/checkpoint/names.js'
import { readState } from '#src/model/checkpoint/state.js'
import { folderStore } from '#src/node.js'

/** What `gpfq quantize` gets. */
export interface Command {
  /** The path of the built command. */
  readonly main: string
  /** Without -o and --checkpoint. */
  readonly args: readonly string[]
  readonly output: string
  readonly checkpoint?: string
}

export interface Outcome {
  /** Of the file; null where the process was killed before it was written. */
  readonly sha256: string | null
  readonly seconds: number
}

/**
 * Runs the command, and kills it by SIGKILL.
 * @param kill resolves when the process is to be killed; without it the process ends by itself
 * @throws Error with what the command printed, if it fails by itself
 */
export async function run(command: Command, kill?: () => Promise<void>): Promise<Outcome> {
  const { main, args, output, checkpoint } = command
  const start = performance.now()
  const kept = checkpoint === undefined ? [] : ['--checkpoint', checkpoint]
  const all = [main, 'quantize', ...args, '-o', output, '--force', '--quiet', ...kept]
  const child = spawn(process.execPath, all, { stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  const ended = new Promise<string | number | null>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, signal) => resolve(signal ?? code))
  })
  if (kill !== undefined) {
    await Promise.race([kill(), ended])
    child.kill('SIGKILL')
  }
  const how = await ended
  if (how !== 0 && how !== 'SIGKILL') throw new Error(`${all.join(' ')}: ${how}: ${said}`)
  const seconds = (performance.now() - start) / 1000
  const sha256 =
    how === 0
      ? createHash('sha256')
          .update(await readFile(output))
          .digest('hex')
      : null
  return { sha256, seconds }
}

/** The stages that a folder holds whole, and the identity of each layer's file. */
export interface Held {
  readonly stages: number
  readonly finished: number
  /** By name; a file that is written again is another one. */
  readonly files: ReadonlyMap<string, number>
}

export async function heldIn(checkpoint: string): Promise<Held> {
  const store = folderStore(checkpoint)
  const state = await readState(store)
  if (state === null) return { stages: 0, finished: 0, files: new Map() }
  const index = new Map(state.layers.map(({ name }, i) => [name, i]))
  const isDone = (name: string): boolean => state.layers[index.get(name) ?? -1]?.done === true
  const stages = stagesOf(parsed(await store.get('plan.json'))).filter((names) => names.length > 0)
  const finished = stages.filter((names) => names.every(isDone))
  const files = new Map<string, number>()
  for (const name of finished.flat()) {
    const path = join(checkpoint, layerName(index.get(name) ?? -1, name, 'gpfq'))
    files.set(path, (await stat(path)).ino)
  }
  return { stages: stages.length, finished: finished.length, files }
}

const stagesOf = (plan: unknown): readonly (readonly string[])[] => {
  const isStage = (stage: unknown): stage is { readonly quantize: readonly string[] } =>
    typeof stage === 'object' && stage !== null && Array.isArray(Reflect.get(stage, 'quantize'))
  const stages: unknown = typeof plan === 'object' && plan !== null ? Reflect.get(plan, 'stages') : []
  return Array.isArray(stages) ? stages.filter(isStage).map(({ quantize }) => quantize) : []
}

export interface Loss {
  /** Seconds that the first process ran. */
  readonly killedAfter: number
  readonly resumed: Outcome
  readonly stages: number
  /** Stages that were finished when the process was killed. */
  readonly finished: number
  /** Files of finished stages that were written a second time. */
  readonly again: number
}

/** Kills a run in the middle, and runs the same command to its end. */
export async function killAndResume(
  command: Command & { readonly checkpoint: string },
  kill: () => Promise<void>,
): Promise<Loss> {
  const { seconds: killedAfter } = await run(command, kill)
  const before = await heldIn(command.checkpoint)
  const resumed = await run(command)
  const after = await heldIn(command.checkpoint)
  const again = [...before.files].filter(([path, file]) => after.files.get(path) !== file).length
  return { killedAfter, resumed, stages: after.stages, finished: before.finished, again }
}

/** So many seconds from now. */
export const after = (seconds: number) => (): Promise<void> => delay(1000 * seconds)
