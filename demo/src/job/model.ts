/**
 * The visitor's model: one .onnx file and, if its weights are in other files, the files that it names. Files are read when
 * they are needed and looked up by name: a page does not see folders. The model is decoded once, here; every plan and every
 * run takes what openModel gave.
 */
import { GpfqError, type Model, openModel } from 'gpfq/onnx'
import type { ModelSummary } from './protocol.ts'

export interface ChosenModel {
  readonly summary: ModelSummary
  readonly model: Model
}

/**
 * Memory holds a model several times while it is quantized: the file, once in ONNX Runtime for each of two networks, and
 * the result. A tab's WebAssembly has 4 GiB in all, an array 2 GiB.
 */
const TIMES_HELD = 4
const MOST_BYTES = 2 ** 32 / TIMES_HELD

export async function readModel(files: readonly File[]): Promise<ChosenModel> {
  const models = files.filter((file) => /\.(onnx|ort|pb)$/i.test(file.name))
  const [file = files[0], second] = models
  if (file === undefined)
    throw new GpfqError('INVALID_MODEL', { place: 'model', problem: 'no file was chosen' })
  if (second !== undefined)
    throw new GpfqError('INVALID_MODEL', {
      place: 'model',
      expected: 'one model at a time',
      got: models.map(({ name }) => name).join(' and '),
    })
  const size = files.reduce((sum, { size }) => sum + size, 0)
  checkSize(size)
  const bytes = new Uint8Array(await file.arrayBuffer())
  const byName = new Map(files.map((other) => [other.name, other]))
  const find = (path: string) => byName.get(path.split('/').at(-1) ?? path)
  const readExternalData = async (path: string) => {
    const found = find(path)
    if (found === undefined)
      throw new GpfqError('INVALID_DATA', { place: path, problem: 'this file is not beside the model' })
    return new Uint8Array(await found.arrayBuffer())
  }
  const model = await openModel(bytes, readExternalData)
  const missing = model.externalData.filter((path) => find(path) === undefined)
  if (missing.length > 0)
    throw new GpfqError('INVALID_MODEL', {
      place: file.name,
      problem: 'its weights are in other files',
      hint: `choose them together with it: ${missing.join(', ')}`,
    })
  const used = model.externalData.map((path) => find(path)?.size ?? 0)
  return {
    summary: {
      name: file.name,
      bytes: file.size + used.reduce((sum, each) => sum + each, 0),
      inputs: model.inputs,
      externalData: model.externalData,
    },
    model,
  }
}

/** Checked before a byte is read: a tab that runs out of memory shows no error. */
function checkSize(bytes: number): void {
  if (bytes <= MOST_BYTES) return
  const gigabytes = (value: number) => `${(value / 1e9).toFixed(1)} GB`
  const needed = `${gigabytes(TIMES_HELD * bytes)} of memory, ${TIMES_HELD} times its size`
  throw new GpfqError('OUT_OF_MEMORY', {
    place: 'model',
    problem: `its ${gigabytes(bytes)} take about ${needed}, and a tab has ${gigabytes(2 ** 32)}`,
    hint: 'use the command line, which has no such limit',
  })
}
