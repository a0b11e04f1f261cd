/**
 * Entry for Node, Bun and Deno: `node entry.mjs <folder of the suite's files> <mode>…`, a mode being a thread count, or
 * `web:` and a thread count for Web Workers instead of worker_threads. Prints one line of JSON a mode.
 */
import { readFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { init } from 'gpfq'
import { createOrtWebRunner } from 'gpfq/onnx'
import { runSuite } from '../suite.js'

/** Taken before ONNX Runtime loads, which puts node's Worker in the place of this one. */
const WebWorker = globalThis.Worker

const [folder, ...modes] = process.argv.slice(2)
if (folder === undefined)
  throw new TypeError('conformance: expected the folder of the suite’s files, got none')
const read = (name: string): Uint8Array => new Uint8Array(readFileSync(`${folder}/${name}`))
const subject = {
  models: {
    digits: read('digits.onnx'),
    residual: read('residual.onnx'),
    attention: read('attention.onnx'),
  },
  images: read('images.bin'),
  runner: await createOrtWebRunner(),
}
for (const mode of modes) {
  const [kind, threads] = mode.includes(':') ? mode.split(':') : ['', mode]
  if (kind === 'web') {
    const url = pathToFileURL(`${folder}/web/worker.js`)
    await init({ createWorker: () => new WebWorker(url, { type: 'module' }) })
  }
  console.log(JSON.stringify(await runSuite(subject, Number(threads))))
}
