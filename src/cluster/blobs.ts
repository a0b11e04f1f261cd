/**
 * Bytes under their own SHA-256, in a store that coordinator and workers share. What is read is compared with its hash: damaged
 * bytes count as missing, and whoever made them makes them again. Long ones are cut into pieces, each a blob of its own, because
 * stores bound the length of a value.
 *
 *     blobs/HASH      the bytes
 *     pieces/HASH     or the hashes of their pieces, JSON
 *     results/ID      the hash of what answers a task
 */
import { createHash } from 'node:crypto'
import { GpfqError } from '../errors.js'
import { parsed } from '../model/checkpoint/names.js'
import type { Store } from '../model/checkpoint/store.js'

/** Bytes of a piece. Redis has at most 512 MiB, of which text as unstorage writes it takes a third more. */
const PIECE = 2 ** 26

export const sha256 = (bytes: Uint8Array | string): string => createHash('sha256').update(bytes).digest('hex')

/** Whether a value is a SHA-256 in hexadecimal. */
export const isHash = (value: unknown): value is string =>
  typeof value === 'string' && /^[0-9a-f]{64}$/.test(value)

/** A blob that a job needs is missing or damaged. */
export const isMissing = (error: unknown): boolean =>
  error instanceof GpfqError && error.place === MISSING_PLACE

const MISSING_PLACE = 'the store'

export class Blobs {
  readonly #store: Store
  readonly #piece: number

  /** @param piece longest value of the store, in bytes */
  constructor(store: Store, piece = PIECE) {
    this.#store = store
    this.#piece = piece
  }

  /** Keeps bytes, unless they are there. @returns their hash */
  async put(bytes: Uint8Array): Promise<string> {
    const hash = sha256(bytes)
    if ((await this.find(hash)) !== null) return hash
    if (bytes.length <= this.#piece) await this.#store.set(`blobs/${hash}`, bytes)
    else {
      const pieces: string[] = []
      for (let at = 0; at < bytes.length; at += this.#piece)
        pieces.push(await this.put(bytes.subarray(at, at + this.#piece)))
      await this.#store.set(`pieces/${hash}`, new TextEncoder().encode(JSON.stringify(pieces)))
    }
    return hash
  }

  /** The bytes of a hash; null where they are missing or damaged. */
  async find(hash: string): Promise<Uint8Array | null> {
    const bytes = (await this.#store.get(`blobs/${hash}`)) ?? (await this.#joined(hash))
    return bytes !== null && sha256(bytes) === hash ? bytes : null
  }

  /** @throws GpfqError INVALID_DATA where the bytes are missing or damaged */
  async get(hash: string, what: string): Promise<Uint8Array> {
    const bytes = await this.find(hash)
    if (bytes !== null) return bytes
    throw new GpfqError('INVALID_DATA', {
      place: MISSING_PLACE,
      problem: `${what}, blob ${hash.slice(0, 12)}, is missing or damaged`,
      hint: 'run the same command again: it stores what is missing',
    })
  }

  /** Removes bytes, where the store can. */
  async remove(hash: string): Promise<void> {
    for (const piece of (await this.#pieces(hash)) ?? []) await this.#store.remove?.(`blobs/${piece}`)
    await this.#store.remove?.(`pieces/${hash}`)
    await this.#store.remove?.(`blobs/${hash}`)
  }

  /** Says which blob answers a task. @param id the task's */
  async setResult(id: string, hash: string): Promise<void> {
    await this.#store.set(`results/${id}`, new TextEncoder().encode(hash))
  }

  /** The answer of a task; null where there is none, or it is damaged. */
  async result(id: string): Promise<Uint8Array | null> {
    const hash = await this.#resultHash(id)
    return hash === null ? null : this.find(hash)
  }

  /** Removes the answer of a task. */
  async removeResult(id: string): Promise<void> {
    const hash = await this.#resultHash(id)
    await this.#store.remove?.(`results/${id}`)
    if (hash !== null) await this.remove(hash)
  }

  async #resultHash(id: string): Promise<string | null> {
    const bytes = await this.#store.get(`results/${id}`)
    const hash = bytes === null ? null : new TextDecoder().decode(bytes)
    return isHash(hash) ? hash : null
  }

  async #pieces(hash: string): Promise<readonly string[] | null> {
    const pieces = parsed(await this.#store.get(`pieces/${hash}`))
    return Array.isArray(pieces) && pieces.every(isHash) ? pieces : null
  }

  async #joined(hash: string): Promise<Uint8Array | null> {
    const hashes = (await this.#pieces(hash)) ?? []
    const pieces: Uint8Array[] = []
    for (const own of hashes) {
      const piece = await this.#store.get(`blobs/${own}`)
      if (piece === null) return null
      pieces.push(piece)
    }
    if (pieces.length === 0) return null
    const bytes = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0))
    let at = 0
    for (const piece of pieces) {
      bytes.set(piece, at)
      at += piece.length
    }
    return bytes
  }
}
