// bun layer.ts: one layer to three values a weight, rounded and by GPFQ.
import { createQuantizer, type LayerProblem } from 'gpfq'

const inputs = 256
const neurons = 64
const rows = 1000

// Inputs of a real layer are correlated; that is what GPFQ makes use of.
const hidden = Array.from({ length: rows * 16 }, () => Math.random() - 0.5)
const mixing = Array.from({ length: 16 * inputs }, () => Math.random() - 0.5)
const problem: LayerProblem = {
  weights: Float32Array.from({ length: inputs * neurons }, () => Math.random() - 0.5),
  inputs,
  neurons,
  samples: Float32Array.from({ length: rows * inputs }, (_, i) => {
    const row = Math.floor(i / inputs)
    let sum = 0.1 * (Math.random() - 0.5)
    for (let k = 0; k < 16; k++) sum += (hidden[16 * row + k] ?? 0) * (mixing[inputs * k + (i % inputs)] ?? 0)
    return sum
  }),
}

const quantizer = await createQuantizer()
for (const method of ['msq', 'gpfq'] as const) {
  const { relativeError, seconds } = await quantizer.quantizeLayer(problem, { levels: 3, method })
  console.log(`${method}: relative error ${relativeError?.toFixed(4)}, ${(1000 * seconds).toFixed(1)} ms`)
}
await quantizer.close()
