/**
 * The page is built from the package as it is published: "gpfq/…" resolves through this repository's own exports to
 * dist/, so build that first. The output is a folder of relative addresses for any static host.
 */
import { readFile } from 'node:fs/promises'
import { defineConfig, type Plugin } from 'vite'

/** Where the page may be threaded; everything it loads must come from its own origin then. */
const ISOLATION = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
  'Cross-Origin-Resource-Policy': 'same-origin',
}

/**
 * The page loads from its own origin only and sends nothing to others. 'wasm-unsafe-eval' allows to compile WebAssembly
 * and nothing else. Pictures of data: and blob: are thumbnails of the visitor's own inputs.
 */
const POLICY = [
  "default-src 'none'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "worker-src 'self'",
  "connect-src 'self'",
  "style-src 'self'",
  "img-src 'self' data: blob:",
  "base-uri 'none'",
  "form-action 'none'",
].join('; ')

/** GPFQ_DEMO_HEADERS=off serves the built page as a host without any settings would. */
const bare = process.env.GPFQ_DEMO_HEADERS === 'off'

/** The service worker must lie beside the page, under a name that does not change. */
function isolatingServiceWorker(): Plugin {
  return {
    name: 'isolating-service-worker',
    apply: 'build',
    async generateBundle() {
      const text = await readFile(new URL('./src/isolate.js', import.meta.url), 'utf8')
      const source = text.replace("'__POLICY__'", JSON.stringify(POLICY))
      this.emitFile({ type: 'asset', fileName: 'isolate.js', source })
    },
  }
}

/** The built page carries its policy with it; the development server needs inline styles and a socket. */
function contentSecurityPolicy(): Plugin {
  return {
    name: 'content-security-policy',
    apply: 'build',
    transformIndexHtml: () => [
      {
        tag: 'meta',
        attrs: { 'http-equiv': 'Content-Security-Policy', content: POLICY },
        injectTo: 'head-prepend',
      },
    ],
  }
}

export default defineConfig({
  root: import.meta.dirname,
  base: './',
  plugins: [contentSecurityPolicy(), isolatingServiceWorker()],
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  assetsInclude: ['**/*.onnx', '**/*.npz'],
  worker: { format: 'es' },
  build: {
    outDir: 'dist',
    emptyOutDir: true,
    target: 'es2022',
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 1000,
    modulePreload: { polyfill: false },
  },
  optimizeDeps: {
    exclude: ['onnxruntime-web', '@jsquash/jpeg'], // they look for their wasm files beside themselves
    // Workers import these. Vite would find them only when a worker starts, and would then reload the page while it is used.
    include: ['@bufbuild/protobuf', 'comlink', 'fast-png', 'fflate', 'onnx-buf', 'uplot'],
  },
  server: { headers: ISOLATION },
  preview: {
    headers: bare ? {} : { ...ISOLATION, 'Content-Security-Policy': `${POLICY}; frame-ancestors 'none'` },
  },
})
