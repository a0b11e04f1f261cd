/**
 * What every worker does: instantiate the module on the shared memory and carry out jobs, taking tiles from the shared
 * counters until none is left. Between phases it waits for the others on the counter itself. Knows nothing of
 * quantization, and allocates nothing while it runs.
 */
import { controlBlocks, doneAt, type Job, nextAt, SHARES, STOP, tilesIn } from './job.js'
import { instantiate, type Kernels, runTile } from './tiles.js'

export interface WorkerApi {
  /** Instantiates the kernels. `worker` is this worker's number among `threads`, from 0 on. */
  init(module: WebAssembly.Module, memory: WebAssembly.Memory, worker: number, threads: number): Promise<void>
  /**
   * Carries out a job together with the other workers, counting in a control block of its own: 0 or 1. Returns when all of
   * it is done, whoever did it, or early when told to stop.
   */
  carryOut(job: Job, block: number): void
}

/** Loads of the counter before a waiting worker goes to sleep: about 20 µs, the time that waking one costs. */
const SPINS = 4000

/** Milliseconds after which a sleeping worker looks at the stop flag again. */
const PATIENCE = 20

export function createWorkerApi(): WorkerApi {
  let kernels: Kernels = {}
  let blocks: readonly Int32Array[] = []
  let worker = 0
  let firstShare = 0

  function awaitPhase(control: Int32Array, index: number, tiles: number): void {
    const at = doneAt(index)
    for (let spin = 0; spin < SPINS; spin++) {
      if (Atomics.load(control, at) >= tiles || Atomics.load(control, STOP) !== 0) return
    }
    for (;;) {
      const done = Atomics.load(control, at)
      if (done >= tiles || Atomics.load(control, STOP) !== 0) return
      Atomics.wait(control, at, done, PATIENCE)
    }
  }

  return {
    async init(module, memory, number, threads) {
      worker = number
      firstShare = Math.floor((number * SHARES) / threads)
      blocks = controlBlocks(memory)
      kernels = await instantiate(module, memory)
    },
    carryOut(job, block) {
      const control = blocks[block]!
      try {
        for (const [index, phase] of job.entries()) {
          const tiles = tilesIn(phase)
          for (let turn = 0; turn < SHARES; ) {
            if (Atomics.load(control, STOP) !== 0) return
            const share = (firstShare + turn) % SHARES
            const tile = Atomics.add(control, nextAt(index, share), 1)
            if (!runTile(kernels, phase, tile, worker, share, SHARES)) turn++
            else if (Atomics.add(control, doneAt(index), 1) + 1 === tiles)
              Atomics.notify(control, doneAt(index))
          }
          awaitPhase(control, index, tiles)
        }
      } catch (error) {
        Atomics.store(control, STOP, 1)
        throw error
      }
    },
  }
}
