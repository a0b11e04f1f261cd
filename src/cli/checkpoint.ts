/** `--checkpoint DIR`: what may be a folder of a checkpoint, and what `gpfq inspect DIR` says of one. */
import { existsSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from 'commander'
import { accessError } from '../data/access.js'
import { folderStore } from '../data/folderStore.js'
import { GpfqError, invalidData } from '../errors.js'
import { RUN } from '../model/checkpoint/names.js'
import { type CheckpointState, readState } from '../model/checkpoint/state.js'
import type { RunOptions } from '../options.js'
import { formatDecibels, formatPercent, formatSeconds } from './numbers.js'
import { shapeOf } from './progress.js'
import { formatTable } from './table.js'
import { printable, type Terminal } from './terminal.js'
import { UsageError } from './usage.js'

export interface CheckpointValues {
  readonly checkpoint?: string
  readonly restart?: boolean
}

export const addCheckpointOptions = (command: Command): Command =>
  command
    .option(
      '--checkpoint <DIR>',
      'keep finished layers in a folder: the same command again goes on behind them',
    )
    .option('--restart', 'with --checkpoint: begin anew, whatever the folder holds')

/** Runs with the checkpoint that is asked for. Where it fails, a line says that the run can be continued. */
export async function keeping<T>(
  { checkpoint, restart = false }: CheckpointValues,
  terminal: Terminal,
  run: (options: Pick<RunOptions, 'checkpoint' | 'restart'>) => Promise<T>,
): Promise<T> {
  if (checkpoint === undefined) return run({})
  try {
    return await run({ restart, checkpoint: folderStore(checkpoint) })
  } catch (error) {
    const isOther = error instanceof GpfqError && error.code === 'CHECKPOINT_DIFFERS'
    terminal.redraw('')
    if (!isOther && isFolder(join(checkpoint, 'layers')))
      terminal.say(`finished layers are in ${printable(checkpoint)}: the same command goes on behind them`)
    throw error
  }
}

/**
 * Checks the folder before any work, so that files of other programs are not written over.
 * @throws {UsageError} for --restart alone
 * @throws {GpfqError} FILE_EXISTS for a folder that holds something else, FILE_ACCESS for a file
 */
export function checkCheckpoint({ checkpoint, restart }: CheckpointValues): void {
  if (checkpoint === undefined) {
    if (restart) throw new UsageError('--restart: expected --checkpoint DIR together with it, got none')
    return
  }
  if (!existsSync(checkpoint)) return
  if (!isFolder(checkpoint))
    throw new GpfqError('FILE_ACCESS', { place: checkpoint, expected: 'a folder', got: 'a file' })
  const names = namesIn(checkpoint).filter((name) => !name.endsWith('.tmp'))
  if (names.length === 0 || names.includes(RUN)) return
  throw new GpfqError('FILE_EXISTS', {
    place: checkpoint,
    expected: 'a new or an empty folder, or one of --checkpoint',
    got: `a folder with ${names[0]}`,
    hint: 'choose another one',
  })
}

export function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory()
  } catch {
    return false // what is wrong with it, the reader says
  }
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder)
  } catch (cause) {
    throw accessError(folder, 'a readable folder', cause)
  }
}

/** How far a run came. @throws {GpfqError} INVALID_DATA where the folder is no checkpoint */
export async function inspectCheckpoint(folder: string): Promise<CheckpointState> {
  const state = await readState(folderStore(folder))
  if (state !== null) return state
  throw invalidData(folder, `the folder of a checkpoint, with ${RUN} and plan.json`, 'another folder')
}

export function checkpointLines(
  folder: string,
  state: CheckpointState,
  terminal: Terminal,
): readonly string[] {
  const done = state.layers.filter((layer) => layer.done)
  const seconds = done.reduce((sum, layer) => sum + (layer.seconds ?? 0), 0)
  const table = formatTable(
    [
      { title: 'layer', shrinks: true },
      { title: 'shape', align: 'right' },
      { title: 'levels', align: 'right' },
      { title: 'error', align: 'right' },
      { title: 'SQNR', align: 'right' },
      { title: 'time', align: 'right' },
    ],
    state.layers.map((layer) => [
      layer.name,
      shapeOf(layer),
      String(layer.levels),
      layer.relativeError === null ? '–' : formatPercent(layer.relativeError),
      formatDecibels(layer.sqnrDb),
      layer.seconds === null ? '–' : formatSeconds(layer.seconds),
    ]),
    terminal.columns,
  )
  const rest = state.finished ? 'the run is done' : 'the same command goes on behind them'
  return [
    `${printable(folder)}  checkpoint of gpfq ${state.version}, ${printable(state.runtime)}`,
    '',
    ...table,
    '',
    `${done.length} of ${state.layers.length} layers done in ${formatSeconds(seconds)}; ${rest}`,
    ...state.damaged.map(
      (name) => `note: ${printable(join(folder, name))} is damaged and will be made again`,
    ),
  ]
}
