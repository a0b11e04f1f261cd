// deno run --allow-read --allow-sys layer.ts: the same with Web Workers, which Deno and Bun have beside node:worker_threads.
import { createQuantizer, init } from 'gpfq'

await init({
  createWorker: () => new Worker(import.meta.resolve('gpfq/worker.js'), { type: 'module' }),
  threads: 2,
})
const inputs = 256
const neurons = 64
const numbers = (length: number): Float32Array => Float32Array.from({ length }, () => Math.random() - 0.5)

const quantizer = await createQuantizer()
const { codes, scales, zero, relativeError } = await quantizer.quantizeLayer({
  weights: numbers(inputs * neurons),
  inputs,
  neurons,
  samples: numbers(1000 * inputs),
})
await quantizer.close()

// value = scale · (code − zero), one scale a neuron
const first = Array.from({ length: 5 }, (_, t) => (scales[0] ?? 0) * ((codes[t * neurons] ?? 0) - zero))
console.log(`first weights of neuron 0: ${first.map((value) => value.toFixed(3)).join(', ')}`)
console.log(`relative error ${relativeError?.toFixed(4)} on ${quantizer.threads} Web Workers`)
