/** A model file for the commands: its bytes, its inputs, and its external data. It is decoded here and nowhere else. */
import { externalDataReader, readBytes } from '../data/files.js'
import { atPlace, GpfqError } from '../errors.js'
import { openModel as decode, type Model } from '../onnx/openModel.js'
import type { RunnerInput } from '../tensor/tensor.js'

export interface ModelFile {
  readonly path: string
  readonly bytes: Uint8Array
  readonly model: Model
  readonly inputs: readonly RunnerInput[]
  /** Relative paths of its external data files. */
  readonly externalData: readonly string[]
  /** Reads external data from the model's own folder. */
  readonly readExternalData: (path: string) => Promise<Uint8Array>
  /** Bytes that ONNX Runtime loads without a file system, with the external data packed in. */
  runnable(): Promise<Uint8Array>
}

/**
 * Reads and decodes a model file.
 * @throws {GpfqError} FILE_ACCESS, INVALID_MODEL, UNSUPPORTED_MODEL; the place starts with the path
 */
export async function openModel(path: string): Promise<ModelFile> {
  const bytes = await readBytes(path)
  const readExternalData = externalDataReader(path)
  let opened: Model
  try {
    opened = await decode(bytes, readExternalData)
  } catch (error) {
    throw error instanceof GpfqError ? atPlace(error, `${path}: ${error.place}`) : error
  }
  return {
    path,
    bytes,
    model: opened,
    inputs: opened.inputs,
    externalData: opened.externalData,
    readExternalData,
    runnable: () => opened.runnable(),
  }
}
