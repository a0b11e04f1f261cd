/**
 * The page as a person uses it, in real Chromium, against the built folder. It is served twice: with all headers, and
 * bare, as a static host would.
 */
import { existsSync } from 'node:fs'
import { defineConfig } from '@playwright/test'

export const PORT = 4273
export const BARE_PORT = 4274

/** The system's Chromium where there is one, else Playwright's own. */
const chromium = process.env.GPFQ_CHROMIUM ?? '/usr/bin/chromium'
const serve = (port: number) => ({
  command: `npx vite preview demo --port ${port} --strictPort`,
  cwd: new URL('..', import.meta.url).pathname,
  url: `http://localhost:${port}/`,
  reuseExistingServer: false,
})

export default defineConfig({
  testDir: 'test',
  projects: [
    { name: 'page', testMatch: /\.spec\.ts$/ },
    { name: 'screenshots', testMatch: /screenshots\.ts$/ },
  ],
  outputDir: '../test-results/demo',
  timeout: 90_000,
  expect: { timeout: 20_000 },
  workers: 1, // threads are what is tested: one page at a time has the machine
  forbidOnly: process.env.CI !== undefined,
  reporter: [['list'], ['json', { outputFile: '../node_modules/.cache/gpfq/page.json' }]],
  use: {
    baseURL: `http://localhost:${PORT}/`,
    viewport: { width: 1280, height: 900 },
    launchOptions: {
      ...(existsSync(chromium) ? { executablePath: chromium } : {}),
      args: [
        ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []), // Chromium refuses a sandbox as root
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
      ],
    },
  },
  webServer: [serve(PORT), { ...serve(BARE_PORT), env: { GPFQ_DEMO_HEADERS: 'off' } }],
})
