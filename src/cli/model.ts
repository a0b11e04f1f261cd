/** Model files for the commands. A command decodes each of its models once, here. */
import { externalDataReader, readBytes } from '../data/files.js'
import { atPlace, GpfqError } from '../errors.js'
import { openModel as decode, type Model } from '../onnx/openModel.js'

/**
 * Reads and decodes a model file. Its external data is read from its own folder when needed.
 * @param bytes the file's, where they were read already
 * @throws {GpfqError} FILE_ACCESS, INVALID_MODEL, UNSUPPORTED_MODEL; the place starts with the path
 */
export async function openModel(path: string, bytes?: Uint8Array): Promise<Model> {
  const file = bytes ?? (await readBytes(path))
  try {
    return await decode(file, externalDataReader(path))
  } catch (error) {
    throw error instanceof GpfqError ? atPlace(error, `${path}: ${error.place}`) : error
  }
}
