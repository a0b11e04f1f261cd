/**
 * SHA-256 of bytes that come in parts. WebCrypto, which every runtime has, hashes only what is in memory at once. So bytes are
 * hashed in pieces of a fixed size, wherever the parts begin and end, and then the hashes of all pieces.
 */
import { GpfqError } from '../../errors.js'

/** Bytes of a piece. */
export const PIECE = 2 ** 22

export class Digest {
  readonly #piece = new Uint8Array(PIECE)
  readonly #hashes: Uint8Array[] = []
  readonly #signal: AbortSignal | undefined
  #filled = 0

  constructor(signal: AbortSignal | undefined) {
    this.#signal = signal
  }

  /** @throws the signal's reason */
  async add(bytes: Uint8Array): Promise<void> {
    for (let done = 0; done < bytes.length; ) {
      const part = bytes.subarray(done, done + PIECE - this.#filled)
      this.#piece.set(part, this.#filled)
      this.#filled += part.length
      done += part.length
      if (this.#filled < PIECE) continue
      this.#signal?.throwIfAborted()
      await this.#flush()
    }
  }

  /** In hexadecimal. Nothing can be added after it. */
  async result(): Promise<string> {
    await this.#flush()
    const all = new Uint8Array(32 * this.#hashes.length)
    for (const [i, hash] of this.#hashes.entries()) all.set(hash, 32 * i)
    return hex(await sha256(all))
  }

  async #flush(): Promise<void> {
    this.#hashes.push(await sha256(this.#piece.subarray(0, this.#filled)))
    this.#filled = 0
  }
}

/** The digest of a text. */
export const digestOf = async (text: string): Promise<string> =>
  hex(await sha256(new TextEncoder().encode(text)))

async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  const subtle: SubtleCrypto | undefined = globalThis.crypto?.subtle
  if (subtle === undefined) {
    const problem = 'it needs WebCrypto, which pages have only over https and on localhost'
    throw new GpfqError('RUNTIME_MISSING', { place: 'checkpoint', problem })
  }
  return new Uint8Array(await subtle.digest('SHA-256', bytes))
}

const hex = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
