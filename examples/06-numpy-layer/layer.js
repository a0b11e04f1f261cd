// node layer.js W.npy X.npy [levels]: weights (inputs, neurons) and samples (rows, inputs) from NumPy; writes codes and scales.
import { readFile, writeFile } from 'node:fs/promises'
import { createQuantizer } from 'gpfq'
import { readArrays } from 'gpfq/data'

const [weightsPath, samplesPath, levels = '15'] = process.argv.slice(2)
if (weightsPath === undefined || samplesPath === undefined) {
  console.error('usage: node layer.js W.npy X.npy [levels]')
  process.exit(2)
}

/** @param {string} path */
async function matrix(path) {
  const file = await readArrays({ name: path, bytes: () => readFile(path) })
  if (file.kind !== 'one' || !(file.tensor.data instanceof Float32Array) || file.tensor.dims.length !== 2) {
    throw new TypeError(
      `${path}: expected one float32 matrix; save it with numpy.save(path, a.astype('float32'))`,
    )
  }
  return { data: file.tensor.data, rows: file.tensor.dims[0] ?? 0, columns: file.tensor.dims[1] ?? 0 }
}

const weights = await matrix(weightsPath)
const samples = await matrix(samplesPath)
const quantizer = await createQuantizer()
const { codes, scales, zero, relativeError } = await quantizer.quantizeLayer(
  { weights: weights.data, inputs: weights.rows, neurons: weights.columns, samples: samples.data },
  { levels: Number(levels) },
)
await quantizer.close()

// For NumPy: scales * (numpy.fromfile('codes.u8', 'uint8').reshape(W.shape) - zero)
await writeFile('codes.u8', codes)
await writeFile('scales.f32', new Uint8Array(scales.buffer, scales.byteOffset, scales.byteLength))
console.log(
  `${codes.length} codes, ${scales.length} scales, zero ${zero}, relative error ${relativeError?.toFixed(4)}`,
)
