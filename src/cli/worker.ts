/** `gpfq worker`: takes jobs of `gpfq quantize --queue` until it is interrupted. */
import type { Command } from 'commander'
import type { CommandContext } from './command.js'
import { addRunnerOption, openRunner, type RunnerName } from './runner.js'
import { printable } from './terminal.js'
import { whole } from './values.js'

interface WorkerValues {
  readonly queue: string
  readonly store: string
  readonly threads?: number
  readonly runner?: RunnerName
}

export function addWorkerCommand(program: Command, context: CommandContext): void {
  const command = program
    .command('worker')
    .summary('work for gpfq quantize on other machines')
    .description(
      'Runs networks over parts of the samples of gpfq quantize --queue, and solves layers, until Ctrl-C.',
    )
    .requiredOption('--queue <URL>', 'the Redis of the queue: redis://HOST:PORT, rediss: for TLS')
    .requiredOption('--store <URL>', 'what all machines reach: redis://HOST:PORT or a shared folder')
    .option('--threads <N>', 'threads (default: all of the machine)', (text) => whole(text, 1))
  addRunnerOption(command).action((values: WorkerValues) => work(values, context))
}

async function work(
  { queue, store: url, threads, runner: name }: WorkerValues,
  context: CommandContext,
): Promise<void> {
  const terminal = context.terminal()
  const { openStore, runWorker } = await import('../cluster/index.js')
  const { availableParallelism } = await import('node:os')
  const runner = await openRunner({ runner: name, threads: threads ?? availableParallelism() })
  const { store, close } = await openStore(url)
  try {
    terminal.say(`waiting for jobs with ${runner.name}; Ctrl-C ends it`)
    await runWorker({
      ...{ queue, store, runner, signal: context.signal, ...(threads !== undefined && { threads }) },
      onNote: (text) => terminal.say(`note: ${printable(text)}`),
      onJob: (count, kind) => terminal.say(`job ${count}: ${kind === 'solve' ? 'layers' : 'samples'}`),
    })
  } finally {
    await close()
  }
  context.signal.throwIfAborted()
}
