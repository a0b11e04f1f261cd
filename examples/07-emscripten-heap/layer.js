// node layer.js [file.h5]: a layer whose tensors stay in an Emscripten module's heap. HDF5's C library reads them there;
// gpfq is given views of that heap and takes the values from it straight into its own memory: no copy in between.
import { createQuantizer } from 'gpfq'
import h5wasm from 'h5wasm/node'

const module = await h5wasm.ready
const path = process.argv[2] ?? writeExample('layer.h5')
const file = new h5wasm.File(path, 'r')

/**
 * Reads a float32 dataset into memory that the module owns.
 * @param {string} name
 */
function load(name) {
  const dataset = file.get(name)
  if (!(dataset instanceof h5wasm.Dataset) || dataset.shape === null || dataset.metadata.size !== 4) {
    throw new TypeError(`${path}: ${name}: expected a dataset of float32`)
  }
  const length = dataset.shape.reduce((product, dim) => product * dim, 1)
  const pointer = module._malloc(4 * length)
  module.get_dataset_data(file.file_id, name, null, null, null, BigInt(pointer))
  return { pointer, length, shape: dataset.shape }
}

/**
 * What `HEAPF32.subarray` gives, where a module exports that. Take it last: a heap that grows leaves its views behind.
 * @param {EmscriptenModule} owner
 * @param {{ pointer: number, length: number }} tensor
 */
const view = (owner, { pointer, length }) => new Float32Array(owner.HEAPU8.buffer, pointer, length)

const weights = load('weights')
const samples = load('samples')
const [inputs = 0, neurons = 0] = weights.shape
const quantizer = await createQuantizer()
const { codes, relativeError } = await quantizer.quantizeLayer({
  weights: view(module, weights),
  inputs,
  neurons,
  samples: view(module, samples),
})
await quantizer.close()
for (const { pointer } of [weights, samples]) module._free(pointer)
file.close()
console.log(
  `${path}: ${inputs} × ${neurons}, ${codes.length} codes, relative error ${relativeError?.toFixed(4)}`,
)

/** @param {string} name */
function writeExample(name) {
  const example = new h5wasm.File(name, 'w')
  const numbers = (/** @type {number} */ length) => Float32Array.from({ length }, () => Math.random() - 0.5)
  example.create_dataset({ name: 'weights', data: numbers(128 * 32), shape: [128, 32] })
  example.create_dataset({ name: 'samples', data: numbers(500 * 128), shape: [500, 128] })
  example.close()
  return name
}
