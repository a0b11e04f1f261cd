/** `npm run bench:web`: serves the page that measures WebGPU, until it is ended. */
import { serve } from './browser.js'

const { origin } = await serve('bench/webGpuPage.ts', true)
console.log(
  `Open ${origin} in a browser with WebGPU, press Measure, and copy what it prints into an issue. Ctrl-C ends it.`,
)
