/**
 * What every runtime must agree on, to the byte: the layers of layers.ts and the models of models.ts, quantized with 1, 2 and
 * 4 threads. Runs wherever "gpfq" runs: no test framework, nothing of Node, nothing of the DOM.
 */
import { fastMathIsNear, quantizeLayers } from './layers.js'
import { quantizeModels, type Subject } from './models.js'

export interface SuiteResult {
  readonly mode: string
  readonly threads: number
  /** Has relaxed SIMD, whose codes were near enough. */
  readonly fastMath: boolean
  readonly milliseconds: number
  /** SHA-256 by case, in hexadecimal. */
  readonly hashes: Readonly<Record<string, string>>
}

export async function runSuite(subject: Subject, threads: number): Promise<SuiteResult> {
  const start = performance.now()
  const hashes: Record<string, string> = {}
  const facts = await quantizeLayers(threads, async (name, ...parts) => {
    hashes[name] = await sha256(...parts)
  })
  await quantizeModels(subject, threads, async (name, written) => {
    hashes[name] = await sha256(written)
  })
  const fastMath = await fastMathIsNear(threads)
  return { ...facts, fastMath, milliseconds: performance.now() - start, hashes }
}

export async function sha256(...parts: ArrayBufferView[]): Promise<string> {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0))
  let at = 0
  for (const { buffer, byteOffset, byteLength } of parts) {
    bytes.set(new Uint8Array(buffer, byteOffset, byteLength), at)
    at += byteLength
  }
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('')
}
