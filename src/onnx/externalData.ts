/**
 * Weights that an ONNX model stores in other files beside it. The model names them by relative paths. A model may come
 * from anywhere, so its paths are not trusted: a path that could leave the model's folder, on any platform or as a URL,
 * is refused before a file is opened.
 */
import {
  type GraphProto,
  TensorProto_DataLocation as Location,
  type ModelProto,
  type TensorProto,
} from 'onnx-buf'
import { GpfqError } from '../errors.js'
import { graphOf, shallowCopy } from './model.js'
import { byteLengthOf, dimsOf, sizeOf } from './tensor.js'

/** Reads a file by its path relative to the model. */
export type ReadExternalData = (relativePath: string) => Promise<Uint8Array>

/**
 * Paths of the external files that a model names, each once.
 * @throws {GpfqError} INVALID_MODEL for a path that could leave the model's folder
 */
export function externalDataPaths(model: ModelProto): string[] {
  const paths = new Set<string>()
  mapTensors(graphOf(model), (tensor) => {
    if (isExternal(tensor)) paths.add(locationOf(tensor).path)
    return tensor
  })
  return [...paths]
}

/**
 * The model with all values inside it; the given one is not changed. Each file is read once.
 * @throws {GpfqError} INVALID_MODEL if a file is too short or a tensor contradicts its dims; what `read` throws
 */
export async function resolveExternalData(model: ModelProto, read: ReadExternalData): Promise<ModelProto> {
  const files = new Map<string, Uint8Array>()
  for (const path of externalDataPaths(model)) files.set(path, await read(path))
  if (files.size === 0) return model
  const copy = shallowCopy(model)
  copy.graph = mapTensors(graphOf(model), (tensor) => (isExternal(tensor) ? inlined(tensor, files) : tensor))
  return copy
}

function isExternal(tensor: TensorProto): boolean {
  return tensor.dataLocation === Location.EXTERNAL
}

function inlined(tensor: TensorProto, files: ReadonlyMap<string, Uint8Array>): TensorProto {
  const { path, offset, length } = locationOf(tensor)
  const file = files.get(path) as Uint8Array
  const expected = byteLengthOf(tensor.dataType, sizeOf(dimsOf(tensor)))
  const end = offset + (length ?? expected ?? file.length - offset)
  if (end > file.length)
    throw invalid(tensor, `bytes ${offset}..${end} of '${path}'`, `a file of ${file.length} bytes`)
  if (expected !== null && end - offset !== expected)
    throw invalid(tensor, `${expected} bytes for dims [${dimsOf(tensor)}]`, `${end - offset} in '${path}'`)
  const copy = shallowCopy(tensor)
  copy.rawData = file.subarray(offset, end) as Uint8Array<ArrayBuffer>
  copy.externalData = []
  copy.dataLocation = Location.DEFAULT
  return copy
}

function locationOf(tensor: TensorProto): { path: string; offset: number; length: number | null } {
  const entry = (key: string) => tensor.externalData.find((pair) => pair.key === key)?.value
  const location = entry('location')
  if (location === undefined) throw invalid(tensor, 'the location of its external data', 'none')
  const number = (key: string): number | null => {
    const text = entry(key)
    if (text === undefined) return null
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN
    if (!Number.isSafeInteger(value)) throw invalid(tensor, `a number of bytes as ${key}`, `'${text}'`)
    return value
  }
  return { path: safePath(tensor, location), offset: number('offset') ?? 0, length: number('length') }
}

/** The path without `.` segments, if it is certain to stay inside the model's folder. */
function safePath(tensor: TensorProto, location: string): string {
  const segments = location.split('/').filter((segment, i) => segment !== '.' && (segment !== '' || i === 0))
  const safe =
    segments.length > 0 &&
    segments[0] !== '' && // absolute, or empty
    !segments.includes('..') &&
    // Backslashes and colons: Windows paths, drives, streams, URLs. Percent: `%2e%2e` is `..` to a URL parser.
    !/[\\:?#\0]|%(2e|2f|5c)/i.test(location)
  if (!safe)
    throw invalid(tensor, 'external data in a relative path inside the folder of the model', `'${location}'`)
  return segments.join('/')
}

/** The graph with every tensor of it and of its subgraphs mapped; unchanged messages are shared. */
function mapTensors(graph: GraphProto, map: (tensor: TensorProto) => TensorProto): GraphProto {
  const copy = shallowCopy(graph)
  copy.initializer = graph.initializer.map(map)
  copy.sparseInitializer = graph.sparseInitializer.map((sparse) => {
    const sparseCopy = shallowCopy(sparse)
    if (sparse.values !== undefined) sparseCopy.values = map(sparse.values)
    if (sparse.indices !== undefined) sparseCopy.indices = map(sparse.indices)
    return sparseCopy
  })
  copy.node = graph.node.map((node) => {
    if (
      !node.attribute.some(
        (a) => a.t !== undefined || a.g !== undefined || a.tensors.length + a.graphs.length > 0,
      )
    )
      return node
    const nodeCopy = shallowCopy(node)
    nodeCopy.attribute = node.attribute.map((attribute) => {
      const attributeCopy = shallowCopy(attribute)
      if (attribute.t !== undefined) attributeCopy.t = map(attribute.t)
      if (attribute.g !== undefined) attributeCopy.g = mapTensors(attribute.g, map)
      attributeCopy.tensors = attribute.tensors.map(map)
      attributeCopy.graphs = attribute.graphs.map((inner) => mapTensors(inner, map))
      return attributeCopy
    })
    return nodeCopy
  })
  return copy
}

function invalid(tensor: TensorProto, expected: string, got: string): GpfqError {
  return new GpfqError('INVALID_MODEL', { place: `tensor '${tensor.name}'`, expected, got })
}
