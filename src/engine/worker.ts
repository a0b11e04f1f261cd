/**
 * What a worker of the pool does, whatever runtime it lives in (workers/web.ts and workers/node.ts expose it):
 * instantiate the module on the shared memory and run jobs, taking tiles from the shared counters until none is left.
 * At the end of a phase it waits for the other workers on the counter of completed tiles. It contains no quantization,
 * and it allocates nothing while a job runs.
 */
import { controlBlocks, doneAt, type Job, nextAt, SHARES, STOP, tilesOfPhase } from './job.js'
import { instantiate, type Kernels, runTile } from './tiles.js'

export interface WorkerApi {
  /** Instantiates the kernels. @param worker number of this worker, 0 … threads − 1 */
  init(module: WebAssembly.Module, memory: WebAssembly.Memory, worker: number, threads: number): Promise<void>
  /**
   * Runs a job together with the other workers. Returns when all tiles of the job are done, by any worker, or early if
   * the stop flag is set.
   * @param block control block of the job, 0 or 1
   * @throws whatever a kernel throws; the stop flag is then set for all workers
   */
  runJob(job: Job, block: number): void
}

/** Loads of the counter before a waiting worker sleeps: about 20 µs, the time that waking a worker costs. */
const SPINS = 4000

/** After this time a sleeping worker checks the stop flag again. */
const STOP_CHECK_MILLISECONDS = 20

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
      Atomics.wait(control, at, done, STOP_CHECK_MILLISECONDS)
    }
  }

  return {
    async init(module, memory, number, threads) {
      worker = number
      firstShare = Math.floor((number * SHARES) / threads)
      blocks = controlBlocks(memory)
      kernels = await instantiate(module, memory)
    },
    runJob(job, block) {
      const control = blocks[block]!
      try {
        for (const [index, phase] of job.entries()) {
          const tiles = tilesOfPhase(phase)
          for (let exhausted = 0; exhausted < SHARES; ) {
            if (Atomics.load(control, STOP) !== 0) return
            const share = (firstShare + exhausted) % SHARES
            const tile = Atomics.add(control, nextAt(index, share), 1)
            if (!runTile(kernels, phase, tile, worker, share, SHARES)) exhausted++
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
