/**
 * Entry for pages: `?threads=1,2,4&id=…`. Posts one result a mode to the server that served the page, so that a browser
 * needs no driver: whatever can open an address can run it.
 */
import { createOrtWebRunner } from 'gpfq/onnx'
import { runSuite } from '../suite.js'

const query = new URLSearchParams(location.search)
const post = (message: object): Promise<Response> =>
  fetch(`/results?id=${query.get('id')}`, { method: 'POST', body: JSON.stringify(message) })
const read = async (name: string): Promise<Uint8Array> =>
  new Uint8Array(await (await fetch(`/files/${name}`)).arrayBuffer())

const warnings: string[] = []
const warn = console.warn
console.warn = (...args: unknown[]) => {
  warnings.push(args.join(' '))
  warn(...args)
}
const agent = navigator.userAgent
try {
  const subject = {
    models: {
      digits: await read('digits.onnx'),
      residual: await read('residual.onnx'),
      attention: await read('attention.onnx'),
    },
    images: await read('images.bin'),
    runner: await createOrtWebRunner(),
  }
  for (const threads of (query.get('threads') ?? '1').split(',')) {
    const result = await runSuite(subject, Number(threads))
    await post({ ...result, warnings, agent, isolated: crossOriginIsolated })
  }
  await post({ done: true })
} catch (error) {
  await post({ error: error instanceof Error ? `${error.message}\n${error.stack}` : String(error) })
}
document.title = 'done'
