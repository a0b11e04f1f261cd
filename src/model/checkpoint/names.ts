/** The names of what a checkpoint holds, and the reader of its first file. */
import { digestOf } from './digest.js'
import type { RunIdentity, SampleIdentity } from './identity.js'

export const RUN = 'run.json'
export const PLAN = 'plan.json'
export const SURVEY = 'survey.gpfq'
export const REPORT = 'report.json'

/** The readable part of a name at most. */
const READABLE = 48

/** A layer's file: its place in the plan, which makes it unique, and its name as far as every store can hold it. */
export function layerName(index: number, name: string, kind: 'gpfq' | 'json'): string {
  const readable = name.replace(/[^A-Za-z0-9_-]+/g, '-').slice(-READABLE)
  return `layers/${String(index).padStart(4, '0')}-${readable}.${kind}`
}

/** All that the result of a run depends on. */
export interface RunFacts extends RunIdentity, SampleIdentity {
  /** Distinguishes a run that was begun anew from the ones before it. */
  readonly attempt: string
}

/** What run.json says. */
export interface RunFile extends RunFacts {
  /** The digest of the others, which stands in all files of the run. */
  readonly run: string
}

export const runFile = async (facts: RunFacts): Promise<RunFile> => ({
  ...facts,
  run: await digestOf(JSON.stringify(facts)),
})

const TEXTS = ['attempt', 'version', 'model', 'plan', 'runtime', 'samples', 'heldOut', 'run'] as const

/** Null where the bytes are something else, or damaged. */
export async function readRun(bytes: Uint8Array): Promise<RunFile | null> {
  const value = parsed(bytes)
  if (!isRun(value)) return null
  const { run, ...facts } = value
  return (await runFile(facts)).run === run ? value : null
}

const isRun = (value: unknown): value is RunFile =>
  TEXTS.every((name) => typeof field(value, name) === 'string') &&
  typeof field(value, 'fastMath') === 'boolean'

/** The value of JSON; null where there is none. */
export function parsed(bytes: Uint8Array | null): unknown {
  if (bytes === null) return null
  try {
    return JSON.parse(new TextDecoder().decode(bytes))
  } catch {
    return null
  }
}

/** A field of a value out of JSON. */
export const field = (value: unknown, name: string): unknown =>
  typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined
