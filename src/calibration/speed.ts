/**
 * How long a float model and its quantized one take on the same feeds. They run in turn, so that a busy machine slows both,
 * and what is kept of each is its shortest run: other programs only ever add to a run's time. On a busy machine the median of
 * runs of 2 ms was anything from 2 to 10 ms, and their minimum within 4 %. The first run of each is not timed, because ONNX
 * Runtime allocates in it.
 */
import type { Feeds } from '../tensor/tensor.js'
import type { Runner, RunnerSession } from './runner.js'

/** Times of two models on the same batch, measured in turn. */
export interface Speed {
  /** Seconds that one run of the float model takes, the shortest of `runs`. */
  readonly floatSeconds: number
  /** Seconds that one run of the quantized model takes, the shortest of `runs`. */
  readonly quantizedSeconds: number
  /** How many times each was timed. */
  readonly runs: number
  /** Samples in the batch. */
  readonly samples: number
}

/** How much to measure. */
export interface SpeedBounds {
  /** Timed runs of each model, at most. */
  readonly runs: number
  /** Seconds for all runs, those without timing included. One run of each is timed, however long it takes. */
  readonly seconds: number
  /** Names of the outputs to return; without it all of them. */
  readonly fetches?: readonly string[]
  /** What the quantized model takes, where that differs. */
  readonly quantizedFeeds?: Feeds
  /** Aborts between runs. */
  readonly signal?: AbortSignal | undefined
}

/** Little beside the time of quantizing. On a machine with three times as many threads as cores every tenth run is undisturbed. */
const SHORT = { runs: 100, seconds: 2 }

/** A shorter time is that of several runs, of which the mean counts: so many steps of the clock tell times 5 % apart. */
const STEPS = 20

/**
 * Loads both models, runs them in turn on one batch, and closes them. It takes about two seconds, unless one run takes
 * longer.
 * @param float bytes of the float model, without external data
 * @param quantized bytes of the quantized model, without external data
 * @param feeds a tensor for every input
 * @param signal aborts between runs
 * @param quantizedFeeds what the quantized model takes, where that differs
 * @returns null where the clock stands still while code runs
 * @throws GpfqError RUNTIME_FAILED or OUT_OF_MEMORY if one of them does not load or run
 */
export async function measureSpeed(
  runner: Runner,
  float: Uint8Array,
  quantized: Uint8Array,
  feeds: Feeds,
  signal?: AbortSignal,
  quantizedFeeds: Feeds = feeds,
): Promise<Speed | null> {
  signal?.throwIfAborted()
  const first = await runner.load(float)
  try {
    const second = await runner.load(quantized)
    try {
      const speed = await timeInTurn(first, second, feeds, { ...SHORT, signal, quantizedFeeds })
      return speed.floatSeconds > 0 && speed.quantizedSeconds > 0 ? speed : null
    } finally {
      await second.close()
    }
  } finally {
    await first.close()
  }
}

/** Times two loaded models in turn on one batch. Times can be 0 where the clock stands still while code runs. */
export async function timeInTurn(
  float: RunnerSession,
  quantized: RunnerSession,
  feeds: Feeds,
  { runs: most, seconds, fetches, signal, quantizedFeeds = feeds }: SpeedBounds,
): Promise<Speed> {
  const feedsOf = (session: RunnerSession): Feeds => (session === float ? feeds : quantizedFeeds)
  const shortest = STEPS * clockStep()
  const start = performance.now()
  for (const session of [float, quantized]) {
    signal?.throwIfAborted()
    await session.run(feedsOf(session), fetches)
  }
  /** Seconds of one run. */
  const timed = async (session: RunnerSession): Promise<number> => {
    const begun = performance.now()
    let own = 0
    for (let count = 1; ; count++) {
      signal?.throwIfAborted()
      await session.run(feedsOf(session), fetches)
      own += 1000 * (session.seconds ?? 0)
      const milliseconds = session.seconds === undefined ? performance.now() - begun : own
      if (milliseconds >= shortest) return milliseconds / count / 1000
    }
  }
  let floatSeconds = Number.POSITIVE_INFINITY
  let quantizedSeconds = Number.POSITIVE_INFINITY
  let runs = 0
  let end = performance.now()
  let longest = 0
  do {
    floatSeconds = Math.min(floatSeconds, await timed(float))
    quantizedSeconds = Math.min(quantizedSeconds, await timed(quantized))
    runs++
    const now = performance.now()
    longest = Math.max(longest, now - end)
    end = now
  } while (runs < most && end + longest - start <= 1000 * seconds)
  return { floatSeconds, quantizedSeconds, runs, samples: samplesOf(feeds) }
}

/** A clock that shows the same time for so many looks stands still: a look takes 10 ns or more, and a step 16 ms or less. */
const MOST_LOOKS = 2e6

/**
 * Milliseconds of a step of the clock: below a microsecond in Node, up to 1 ms in pages. 0 where the clock stands still while
 * code runs, as in Cloudflare's Workers.
 */
function clockStep(): number {
  let least = Number.POSITIVE_INFINITY
  for (let i = 0; i < 5; i++) {
    const before = performance.now()
    let after = before
    for (let looks = 0; after === before; looks++) {
      if (looks === MOST_LOOKS) return 0
      after = performance.now()
    }
    least = Math.min(least, after - before)
  }
  return least
}

/** The number of samples of a batch: the first axis of its inputs, 1 without axes. */
export function samplesOf(feeds: Feeds): number {
  return Object.values(feeds)[0]?.dims[0] ?? 1
}
