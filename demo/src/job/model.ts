/**
 * The visitor's model: one .onnx file and, if its weights lie outside, the files that it names. Files are read when they
 * are needed and looked up by name: a page does not see folders.
 */
import { GpfqError, type Model as OpenedModel, openModel } from 'gpfq/onnx'
import type { ModelSummary } from './protocol.ts'

export interface Model {
  readonly summary: ModelSummary
  readonly bytes: Uint8Array
  readonly opened: OpenedModel
  readExternalData(path: string): Promise<Uint8Array>
  /** Bytes that run on their own. */
  runnable(): Promise<Uint8Array>
}

/**
 * A model is held several times while it is quantized: as it came, in ONNX Runtime once for each of two networks, and
 * written. A tab's WebAssembly has 4 GiB in all, an array 2 GiB.
 */
const TIMES_HELD = 4
const MOST_BYTES = 2 ** 32 / TIMES_HELD

export async function readModel(files: readonly File[]): Promise<Model> {
  const models = files.filter((file) => /\.(onnx|ort|pb)$/i.test(file.name))
  const [file = files[0], second] = models
  if (file === undefined) throw new GpfqError('INVALID_MODEL', 'No file was chosen.')
  if (second !== undefined)
    throw new GpfqError(
      'INVALID_MODEL',
      `One model at a time, please: got ${models.map(({ name }) => name).join(' and ')}.`,
    )
  const size = files.reduce((sum, { size }) => sum + size, 0)
  checkSize(size)
  const bytes = new Uint8Array(await file.arrayBuffer())
  const byName = new Map(files.map((other) => [other.name, other]))
  const find = (path: string) => byName.get(path.split('/').at(-1) ?? path)
  const readExternalData = async (path: string) => {
    const found = find(path)
    if (found === undefined)
      throw new GpfqError('INVALID_DATA', `${path}: expected this file beside the model, got none.`)
    return new Uint8Array(await found.arrayBuffer())
  }
  const opened = await openModel(bytes, readExternalData)
  const missing = opened.externalData.filter((path) => find(path) === undefined)
  if (missing.length > 0)
    throw new GpfqError(
      'INVALID_MODEL',
      `${file.name} keeps its weights in other files. Choose them together with it: ${missing.join(', ')}.`,
    )
  const used = opened.externalData.map((path) => find(path)?.size ?? 0)
  return {
    summary: {
      name: file.name,
      bytes: file.size + used.reduce((sum, each) => sum + each, 0),
      inputs: opened.inputs,
      externalData: opened.externalData,
    },
    bytes,
    opened,
    readExternalData,
    runnable: () => opened.runnable(),
  }
}

/** Before a byte is read: a tab that runs out of memory says nothing at all. */
function checkSize(bytes: number): void {
  if (bytes <= MOST_BYTES) return
  const gigabytes = (value: number) => `${(value / 1e9).toFixed(1)} GB`
  throw new GpfqError(
    'OUT_OF_MEMORY',
    `It weighs ${gigabytes(bytes)}, and about ${TIMES_HELD} times as much memory, ${gigabytes(TIMES_HELD * bytes)}, is needed to quantize it; a tab has ${gigabytes(2 ** 32)}. The command line has no such limit.`,
  )
}
