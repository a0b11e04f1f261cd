/**
 * Isolates the page on hosts where headers cannot be set. A browser gives shared memory, and with it threads, only to
 * pages that are served with two headers. This service worker adds them to the files of this origin and stores nothing.
 * It adds the page's policy to every file as well, because a worker follows the policy of its own script. vite.config.ts
 * inserts the policy and writes this file beside the page.
 */
const POLICY = '__POLICY__'

self.addEventListener('install', () => self.skipWaiting())
self.addEventListener('activate', (event) => event.waitUntil(self.clients.claim()))
self.addEventListener('fetch', (event) => {
  const { request } = event
  if (new URL(request.url).origin !== self.location.origin) return
  if (request.cache === 'only-if-cached' && request.mode !== 'same-origin') return
  event.respondWith(isolated(request))
})

async function isolated(request) {
  const response = await fetch(request)
  if (response.status === 0) return response
  const headers = new Headers(response.headers)
  headers.set('Cross-Origin-Opener-Policy', 'same-origin')
  headers.set('Cross-Origin-Embedder-Policy', 'require-corp')
  headers.set('Cross-Origin-Resource-Policy', 'same-origin')
  headers.set('Content-Security-Policy', POLICY)
  const { status, statusText, body } = response
  return new Response(body, { status, statusText, headers })
}
