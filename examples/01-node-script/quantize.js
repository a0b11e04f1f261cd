// node quantize.js [model.onnx] [calibration.npz] [out.onnx]: a whole model, 4 bits a weight, with what it cost.
import { readFile, writeFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { loadFeeds } from 'gpfq/data'
import { createRunner, openModel, quantizeModel } from 'gpfq/onnx'

const demo = new URL('../../demo-data/', import.meta.url)
const [
  model = new URL('digits.onnx', demo),
  data = new URL('calibration.npz', demo),
  out = 'digits-4bit.onnx',
] = process.argv.slice(2)

const opened = await openModel(await readFile(model)) // decoded once: it says what to feed, and is quantized below
const calibration = await loadFeeds(
  [{ name: basename(String(data)), files: [{ name: basename(String(data)), bytes: () => readFile(data) }] }],
  opened.inputs,
  { samples: 256, scale: 255 }, // pixels 0..255 become 0..1
)

const { model: quantized, report } = await quantizeModel(opened, {
  calibration,
  runner: await createRunner(), // onnxruntime-node if it is installed, else onnxruntime-web
  levels: 15,
  onProgress(event) {
    if (event.type !== 'layer-done') return
    const { name, inputs, neurons, relativeError } = event.layer
    console.log(`${name}: ${inputs} × ${neurons}, relative error ${relativeError?.toFixed(4)}`)
  },
})
await writeFile(out, quantized)
console.log(`${out}: ${report.bytesIn} → ${report.bytesOut} bytes in ${report.seconds.total.toFixed(1)} s`)
