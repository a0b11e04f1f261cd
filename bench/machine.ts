/**
 * The machine of this run: name, runtime, and the peaks that the probe kernels of the module reach. All other numbers
 * of the bench are also given as a fraction of these.
 */
import { readFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import { type Case, interleave, percent, type Timing } from './measure.js'

export type Kernels = Record<string, (...args: number[]) => number>

export interface Machine {
  readonly name: string
  readonly runtime: string
  readonly cores: number
  /** Multiply and add in registers, one thread, float32, GFLOP/s: the best of 15 × 20 runs, and the spread of the 15. */
  readonly peakGflops: number
  readonly peakSpread: number
  /** Reading memory beyond the caches, one thread, GB/s: the best of 15 runs, and their spread. */
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

export const PROBE_ROUNDS = 30_000
const PROBE_TRIES = 20

/**
 * The peak as one of the interleaved cases, because the speed of a shared machine changes within minutes: the best of
 * 20 runs of 0.1 ms.
 */
export async function peakProbe(): Promise<Case<number>> {
  const { kernels } = await instantiate(1)
  return {
    name: 'probe',
    run() {
      let least = Number.POSITIVE_INFINITY
      for (let i = 0; i < PROBE_TRIES; i++) {
        const start = performance.now()
        kernels.probeArithmetic!(PROBE_ROUNDS, 1)
        least = Math.min(least, (performance.now() - start) / 1000)
      }
      return least
    },
    seconds: (least) => least,
  }
}

/** GFLOP/s of the probe, 192 operations a round. */
export const peakOf = ({ min }: Timing): number => (192 * PROBE_ROUNDS) / min / 1e9

export async function measureMachine(): Promise<Machine> {
  const { kernels, memory } = await instantiate(4096)
  const bytes = memory.buffer.byteLength
  new Uint8Array(memory.buffer).fill(1) // first touch
  const read: Case = { name: 'read', run: () => kernels.probeRead!(0, bytes) }
  const times = await interleave([await peakProbe(), read], 15)
  const [arithmetic, reading] = [times.get('probe')!, times.get('read')!]
  return {
    name: cpus()[0]?.model.trim() ?? 'unknown',
    runtime: `Node ${process.version} (V8 ${process.versions.v8})`,
    cores: cpus().length,
    peakGflops: peakOf(arithmetic),
    peakSpread: arithmetic.spread,
    readGbs: bytes / reading.min / 1e9,
    readSpread: reading.spread,
  }
}

export const describeMachine = (machine: Machine): string =>
  `${machine.cores} × ${machine.name}, ${machine.runtime}; one thread: SIMD128 mul+add peak ` +
  `${machine.peakGflops.toFixed(1)} GFLOP/s ± ${percent(machine.peakSpread)}, ` +
  `read ${machine.readGbs.toFixed(1)} GB/s ± ${percent(machine.readSpread)}`
