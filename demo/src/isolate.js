/**
 * Isolates the page on hosts that let nobody set headers. Shared memory, and with it threads, is given only to pages
 * that are served with two headers; a service worker serves the page's own files once more with them on. It fetches
 * what it is asked for, from this origin, and keeps nothing. The page's policy goes with every file, for workers obey that of their
 * own script and not the page's. vite.config.ts puts the policy in and this file beside the page.
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
