/**
 * `npm run test:consumers`: apps that use the packed package as a user would, dev and build, in real Chromium. Apps are
 * installed in a temporary folder (setup.ts), away from this package's own node_modules.
 */
import { existsSync } from 'node:fs'
import { defineConfig } from '@playwright/test'

const CHROMIUM = process.env.GPFQ_CHROMIUM ?? '/usr/bin/chromium'

export default defineConfig({
  testDir: '.',
  outputDir: '../../node_modules/.cache/gpfq/playwright',
  globalSetup: './setup.ts',
  timeout: 90_000,
  workers: 1,
  reporter: [['line'], ['json', { outputFile: '../../node_modules/.cache/gpfq/consumers.json' }]],
  use: {
    launchOptions: {
      ...(existsSync(CHROMIUM) ? { executablePath: CHROMIUM } : {}),
      args: [
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
      ],
    },
  },
})
