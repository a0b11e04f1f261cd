// These two headers let the page share memory with its workers; without them gpfq runs on one worker.
const headers = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
}

export default { server: { headers }, preview: { headers } }
