/**
 * The machine as this very run finds it: name, runtime, and the peaks that the module's own probe kernels reach. Everything
 * else in the bench is also given as a fraction of these.
 */
import { readFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import { percent, type Timing, timing } from './measure.js'

export type Kernels = Record<string, (...args: number[]) => number>

export interface Machine {
  readonly name: string
  readonly runtime: string
  readonly cores: number
  /** Multiply and add from registers, one thread, float32, GFLOP/s: the best of a hundred runs, and their spread. */
  readonly peakGflops: number
  readonly peakSpread: number
  /** Reading memory that no cache holds, one thread, GB/s: the best of ten, and their spread. */
  readonly readGbs: number
  readonly readSpread: number
}

export interface Instance {
  readonly kernels: Kernels
  readonly memory: WebAssembly.Memory
}

export async function instantiate(pages: number, file = 'gpfq.wasm'): Promise<Instance> {
  const memory = new WebAssembly.Memory({ initial: pages, maximum: 65536, shared: true })
  const bytes = await readFile(new URL(`../dist/${file}`, import.meta.url))
  const { instance } = await WebAssembly.instantiate(bytes, { env: { memory } })
  return { kernels: instance.exports as Kernels, memory }
}

export async function measureMachine(): Promise<Machine> {
  const { kernels, memory } = await instantiate(4096)
  const timed = (repetitions: number, run: () => void): Timing =>
    timing(
      '',
      Array.from({ length: repetitions }, () => {
        const start = performance.now()
        run()
        return (performance.now() - start) / 1000
      }),
    )
  const rounds = 50_000
  for (let i = 0; i < 50; i++) kernels.probeArithmetic!(rounds, 1) // let the optimizing compiler take over
  const arithmetic = timed(100, () => kernels.probeArithmetic!(rounds, 1))
  const bytes = memory.buffer.byteLength
  new Uint8Array(memory.buffer).fill(1) // first touch
  const reading = timed(10, () => kernels.probeRead!(0, bytes))
  return {
    name: cpus()[0]?.model.trim() ?? 'unknown',
    runtime: `Node ${process.version} (V8 ${process.versions.v8})`,
    cores: cpus().length,
    peakGflops: (112 * rounds) / arithmetic.min / 1e9,
    peakSpread: arithmetic.spread,
    readGbs: bytes / reading.min / 1e9,
    readSpread: reading.spread,
  }
}

export const describeMachine = (machine: Machine): string =>
  `${machine.cores} × ${machine.name}, ${machine.runtime}; one thread: SIMD128 mul+add peak ` +
  `${machine.peakGflops.toFixed(1)} GFLOP/s ± ${percent(machine.peakSpread)}, ` +
  `read ${machine.readGbs.toFixed(1)} GB/s ± ${percent(machine.readSpread)}`
