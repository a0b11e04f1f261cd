/**
 * What every runtime must agree on, to the byte: the layers of layers.ts and a small model, quantized with 1, 2 and 4
 * threads. Runs wherever "gpfq" runs: no test framework, nothing of Node, nothing of the DOM.
 */
import { type Feeds, quantizeModel, type Runner } from 'gpfq/onnx'
import { fastMathIsNear, quantizeLayers } from './layers.js'

/** What the runtime's entry brings along: files, and what runs models. */
export interface Subject {
  /** demo-data/digits.onnx */
  readonly model: Uint8Array
  /** Digits, uint8 (images, 28, 28). */
  readonly images: Uint8Array
  readonly runner: Runner
}

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
  hashes['digits.onnx'] = await sha256(await quantizeDigits(subject, threads))
  const fastMath = await fastMathIsNear(threads)
  return { ...facts, fastMath, milliseconds: performance.now() - start, hashes }
}

/** The demo model on its digits, in batches of 16; the bytes of the written model. */
export async function quantizeDigits(
  { model, images, runner }: Subject,
  threads: number,
): Promise<Uint8Array> {
  const calibration: Feeds[] = []
  for (let at = 0; at < images.length; at += 16 * 784) {
    const data = Float32Array.from(images.subarray(at, at + 16 * 784), (pixel) => pixel / 255)
    calibration.push({ image: { type: 'float32', dims: [data.length / 784, 1, 28, 28], data } })
  }
  const result = await quantizeModel(model, { runner, calibration, threads })
  return result.model
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
