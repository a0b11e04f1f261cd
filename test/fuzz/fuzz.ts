/**
 * Fuzzing: a target is given damaged and malicious inputs, and must either succeed or throw an error that says what is wrong.
 * Any other error, and more work than an input of its size may take, is a failure. The work is counted in operations
 * (test/operations.ts), so nothing depends on the machine.
 *
 * To add a reader, write a file like models.ts that exports a FuzzTarget, and name it in targets.ts.
 */
import { isDescribed } from '#src/errors.js'
import { countOperations } from '../operations.js'
import { mutateBytes } from './mutateBytes.js'
import { createRandom, type Random } from './random.js'

export interface FuzzTarget {
  readonly name: string
  /** Valid inputs. */
  readonly seeds: readonly Uint8Array[]
  /** An input that is damaged in its structure, where its bytes still parse. */
  readonly structured?: (random: Random) => Uint8Array
  /** Reads an input. @param random for options */
  readonly read: (bytes: Uint8Array, random: Random) => Promise<unknown>
  /** Operations that an input may take: these, and so many for each of its bytes. */
  readonly bound: { readonly base: number; readonly perByte: number }
}

export interface FuzzResult {
  readonly inputs: number
  readonly succeeded: number
}

/** Inputs whose operations are counted together. */
const BATCH = 100

/**
 * Runs a target on inputs 0 to `inputs` of a seed.
 * @param counted share of the batches whose operations are counted
 * @throws Error with what repeats the first failure
 */
export async function fuzz(
  target: FuzzTarget,
  { inputs, seed, counted }: { readonly inputs: number; readonly seed: number; readonly counted: number },
): Promise<FuzzResult> {
  let succeeded = 0
  for (const bytes of target.seeds) await readOne(target, bytes, createRandom(seed))
  for (let first = 0; first < inputs; first += BATCH) {
    const numbers = Array.from({ length: Math.min(BATCH, inputs - first) }, (_, i) => first + i)
    const made = numbers.map((number) => inputOf(target, seed, number))
    const run = async (from: number, to: number) => {
      for (let i = from; i < to; i++)
        if (await readOne(target, made[i]!.bytes, made[i]!.random, { seed, number: first + i })) succeeded++
    }
    const count = Math.floor((first / BATCH) * counted) !== Math.floor((first / BATCH - 1) * counted)
    if (!count) await run(0, made.length)
    else {
      const operations = await countOperations(() => run(0, made.length))
      const { base, perByte } = target.bound
      const allowed = made.reduce((sum, { bytes }) => sum + base + perByte * bytes.length, 0)
      if (operations > allowed)
        throw new Error(
          `${target.name}, seed ${seed}, inputs ${first} to ${first + made.length}: ${operations} operations, ${allowed} allowed`,
        )
    }
  }
  return { inputs, succeeded }
}

/** Input `number` of a seed, by itself: a failure can be repeated without those before it. */
export function inputOf(
  { seeds, structured }: FuzzTarget,
  seed: number,
  number: number,
): { readonly bytes: Uint8Array; readonly random: Random } {
  const random = createRandom(Math.imul(seed, 0x9e3779b1) ^ Math.imul(number + 1, 0x85ebca6b))
  if (structured !== undefined && random.chance(0.6)) {
    const bytes = structured(random)
    return { bytes: random.chance(0.1) ? mutateBytes(bytes, seeds, random) : bytes, random }
  }
  return { bytes: mutateBytes(random.pick(seeds), seeds, random), random }
}

/** Whether the target succeeded; an error that says what is wrong is no failure. */
async function readOne(
  target: FuzzTarget,
  bytes: Uint8Array,
  random: Random,
  at?: { readonly seed: number; readonly number: number },
): Promise<boolean> {
  try {
    await target.read(bytes, random)
    return true
  } catch (error) {
    if (isDescribed(error) && error.message.length < LONGEST_MESSAGE) return false
    const which = at === undefined ? 'a valid input' : `seed ${at.seed}, input ${at.number}`
    throw new Error(`${target.name}, ${which} (${bytes.length} bytes): ${String(error).slice(0, 500)}`, {
      cause: error,
    })
  }
}

/** Names of the model are in messages, and how many there are is bounded. */
const LONGEST_MESSAGE = 5000
