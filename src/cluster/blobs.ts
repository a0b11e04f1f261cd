/**
 * Bytes under their own SHA-256, in a store that coordinator and workers share. What is read is compared with its hash: damaged
 * bytes count as missing, and whoever made them makes them again.
 */
import { createHash } from 'node:crypto'
import { GpfqError } from '../errors.js'
import type { Store } from '../model/checkpoint/store.js'

export const sha256 = (bytes: Uint8Array | string): string => createHash('sha256').update(bytes).digest('hex')

/** Whether a value is a SHA-256 in hexadecimal. */
export const isHash = (value: unknown): value is string =>
  typeof value === 'string' && /^[0-9a-f]{64}$/.test(value)

export class Blobs {
  readonly #store: Store

  constructor(store: Store) {
    this.#store = store
  }

  /** Keeps bytes, unless they are there. @returns their hash */
  async put(bytes: Uint8Array): Promise<string> {
    const hash = sha256(bytes)
    if ((await this.find(hash)) === null) await this.#store.set(`blobs/${hash}`, bytes)
    return hash
  }

  /** The bytes of a hash; null where they are missing or damaged. */
  async find(hash: string): Promise<Uint8Array | null> {
    const bytes = await this.#store.get(`blobs/${hash}`)
    return bytes !== null && sha256(bytes) === hash ? bytes : null
  }

  /** @throws GpfqError INVALID_DATA where the bytes are missing or damaged */
  async get(hash: string, what: string): Promise<Uint8Array> {
    const bytes = await this.find(hash)
    if (bytes !== null) return bytes
    throw new GpfqError('INVALID_DATA', {
      place: `the store, ${what}`,
      problem: `blob ${hash.slice(0, 12)} is missing or damaged`,
      hint: 'run the same command again: it stores what is missing',
    })
  }

  /** Says which blob answers a task. @param id the task's */
  async setResult(id: string, hash: string): Promise<void> {
    await this.#store.set(`results/${id}`, new TextEncoder().encode(hash))
  }

  /** The answer of a task; null where there is none, or it is damaged. */
  async result(id: string): Promise<Uint8Array | null> {
    const bytes = await this.#store.get(`results/${id}`)
    const hash = bytes === null ? null : new TextDecoder().decode(bytes)
    return isHash(hash) ? this.find(hash) : null
  }
}
