/** `--queue URL --store URL`: a cluster for `gpfq quantize`, which is loaded where it is asked for. */
import type { Command } from 'commander'
import { untilAborted } from '../aborts.js'
import type { RunOptions } from '../options.js'
import { printable, type Terminal } from './terminal.js'
import { UsageError } from './usage.js'
import { whole } from './values.js'

export interface ClusterValues {
  readonly queue?: string
  readonly store?: string
  readonly shards?: number
}

export const addClusterOptions = (command: Command): Command =>
  command
    .option('--queue <URL>', 'let `gpfq worker` on other machines run the networks: redis://HOST:PORT')
    .option('--store <URL>', 'with --queue: what all machines reach, redis://HOST:PORT or a shared folder')
    .option('--shards <N>', 'with --queue: parts of the samples (default: one for each worker)', (text) =>
      whole(text, 1),
    )

/** @throws {UsageError} for one of both alone, or together with --fast-math */
export function checkCluster({ queue, store, shards }: ClusterValues, fastMath: boolean): void {
  if (queue === undefined && (store !== undefined || shards !== undefined))
    throw new UsageError('--queue URL: expected a queue together with --store and --shards, got none')
  if (queue !== undefined && store === undefined)
    throw new UsageError('--store URL: expected a store together with --queue, got none')
  if (queue !== undefined && fastMath)
    throw new UsageError('--fast-math: expected none together with --queue: the bytes of machines can differ')
}

/** Runs with the cluster that is asked for. A Redis that does not answer would make an abort wait for the end of connections. */
export async function spreading<T>(
  { queue, store: url, shards }: ClusterValues,
  { terminal, signal }: { readonly terminal: Terminal; readonly signal: AbortSignal },
  run: (options: Pick<RunOptions, 'cluster'>) => Promise<T>,
): Promise<T> {
  if (queue === undefined || url === undefined) return run({})
  const { openCluster, openStore } = await import('../cluster/index.js')
  const { store, close } = await openStore(url)
  try {
    const onNote = (text: string): void => terminal.say(`note: ${printable(text)}`)
    const cluster = await openCluster({ queue, store, onNote, ...(shards !== undefined && { shards }) })
    try {
      return await run({ cluster })
    } finally {
      await untilAborted(signal, cluster.close())
    }
  } finally {
    await untilAborted(signal, close())
  }
}
