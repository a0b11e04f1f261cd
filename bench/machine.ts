/**
 * The machine as this very run finds it: name, runtime, and the peaks that the module's own probe kernels reach. Everything
 * else in the bench is also given as a fraction of these.
 */
import { readFile } from 'node:fs/promises'
import { cpus } from 'node:os'

export type Kernels = Record<string, (...args: number[]) => number>

export interface Machine {
  readonly name: string
  readonly runtime: string
  readonly cores: number
  /** Multiply and add from registers, one thread, float32, GFLOP/s. */
  readonly peakGflops: number
  /** Reading memory that no cache holds, one thread, GB/s. */
  readonly readGbs: number
}

export async function instantiate(pages: number): Promise<{ kernels: Kernels; memory: WebAssembly.Memory }> {
  const memory = new WebAssembly.Memory({ initial: pages, maximum: 65536, shared: true })
  const bytes = await readFile(new URL('../dist/gpfq.wasm', import.meta.url))
  const { instance } = await WebAssembly.instantiate(bytes, { env: { memory } })
  return { kernels: instance.exports as Kernels, memory }
}

export async function measureMachine(): Promise<Machine> {
  const { kernels, memory } = await instantiate(4096)
  const best = (repetitions: number, run: () => void): number => {
    let least = Number.POSITIVE_INFINITY
    for (let i = 0; i < repetitions; i++) {
      const start = performance.now()
      run()
      least = Math.min(least, (performance.now() - start) / 1000)
    }
    return least
  }
  const rounds = 50_000
  for (let i = 0; i < 50; i++) kernels.probeArithmetic!(rounds) // let the optimizing compiler take over
  const arithmetic = best(100, () => kernels.probeArithmetic!(rounds))
  const bytes = memory.buffer.byteLength
  new Uint8Array(memory.buffer).fill(1) // first touch
  const reading = best(10, () => kernels.probeRead!(0, bytes))
  return {
    name: cpus()[0]?.model.trim() ?? 'unknown',
    runtime: `Node ${process.version} (V8 ${process.versions.v8})`,
    cores: cpus().length,
    peakGflops: (96 * rounds) / arithmetic / 1e9,
    readGbs: bytes / reading / 1e9,
  }
}

export const describeMachine = ({ name, runtime, cores, peakGflops, readGbs }: Machine): string =>
  `${cores} × ${name}, ${runtime}; SIMD128 mul+add peak ${peakGflops.toFixed(1)} GFLOP/s, read ${readGbs.toFixed(1)} GB/s, one thread`
