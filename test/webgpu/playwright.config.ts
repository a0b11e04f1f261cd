/** `npm run test:webgpu`: WebGPU in Chromium, computed by the processor where there is no GPU. Build first. */
import { defineConfig } from '@playwright/test'

export default defineConfig({
  testDir: '.',
  outputDir: '../../node_modules/.cache/gpfq/playwright-webgpu',
  timeout: 300_000,
  workers: 1,
  forbidOnly: process.env.CI !== undefined,
  reporter: [['list'], ['json', { outputFile: '../../node_modules/.cache/gpfq/webgpu.json' }]],
})
