/** A model file as the commands need it: its bytes, what it takes in, and where its external data lies. */
import type { ModelProto } from 'onnx-buf'
import { externalDataReader, readBytes } from '../data/files.js'
import { GpfqError } from '../errors.js'
import { openModel as decode, type Model } from '../onnx/openModel.js'
import type { RunnerInput } from '../tensor/tensor.js'

export interface ModelFile {
  readonly path: string
  readonly bytes: Uint8Array
  readonly model: ModelProto
  readonly inputs: readonly RunnerInput[]
  /** Relative paths of its external data. */
  readonly externalData: readonly string[]
  /** Reads external data from the model's own folder. */
  readonly readExternalData: (path: string) => Promise<Uint8Array>
  /** Bytes that ONNX Runtime can load without a file system. */
  runnable(): Promise<Uint8Array>
}

/** @throws {GpfqError} FILE_ACCESS, INVALID_MODEL, UNSUPPORTED_MODEL; messages begin with the path */
export async function openModel(path: string): Promise<ModelFile> {
  const bytes = await readBytes(path)
  const readExternalData = externalDataReader(path)
  let opened: Model
  try {
    opened = await decode(bytes, readExternalData)
  } catch (error) {
    if (error instanceof GpfqError)
      throw new GpfqError(error.code, `${path}: ${error.message}`, { cause: error })
    throw error
  }
  return {
    path,
    bytes,
    model: opened.proto,
    inputs: opened.inputs,
    externalData: opened.externalData,
    readExternalData,
    runnable: () => opened.runnable(),
  }
}
