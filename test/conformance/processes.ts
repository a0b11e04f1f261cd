/** Programs that runtimes are: started with a group of their own, and ended with all that they started. */
import { type ChildProcess, spawn } from 'node:child_process'

export interface Running {
  readonly child: ChildProcess
  /** What it wrote to stderr and, unless taken, to stdout: for messages. */
  readonly output: () => string
  end(): void
}

export function start(
  command: string,
  args: readonly string[],
  options: {
    cwd?: string
    env?: Record<string, string>
    takeStdout?: (text: string) => void
    control?: boolean
  } = {},
): Running {
  const child = spawn(command, args, {
    stdio: ['ignore', 'pipe', 'pipe', ...(options.control === true ? (['pipe'] as const) : [])],
    env: { ...process.env, ...options.env },
    detached: true,
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  })
  const written: string[] = []
  child.stdout?.on('data', (data: Buffer) =>
    (options.takeStdout ?? ((text) => written.push(text)))(`${data}`),
  )
  child.stderr?.on('data', (data: Buffer) => written.push(`${data}`))
  child.on('error', (error) => written.push(error.message))
  const end = (): void => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
    } catch {
      // It ended by itself.
    }
    process.off('exit', end)
  }
  process.on('exit', end)
  child.on('close', () => process.off('exit', end))
  return { child, output: () => written.join('').trim().split('\n').slice(-12).join('\n'), end }
}

/** Resolves with the exit code. */
export function exitOf({ child }: Running): Promise<number | null> {
  return new Promise((resolve) => {
    child.on('close', resolve)
    child.on('error', () => resolve(null))
  })
}
