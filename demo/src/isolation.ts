/**
 * Finds whether this page may use threads. Its host's headers allow them, or a service worker that adds the headers
 * (isolate.js), after one reload. Where neither works the page runs on one thread.
 */

const TRIED = 'gpfq-isolation-tried'

/** `pending` means that the page is about to reload itself. */
export type Isolation = 'isolated' | 'pending' | 'impossible'

/** Milliseconds to wait: a refused service worker may neither fail to register nor become ready. */
const PATIENCE = 2000
const patience = () => new Promise<'late'>((resolve) => setTimeout(resolve, PATIENCE, 'late'))

export async function isolate(): Promise<Isolation> {
  if (crossOriginIsolated) return 'isolated'
  if (!('serviceWorker' in navigator) || !isSecureContext || import.meta.env.DEV) return 'impossible'
  try {
    await navigator.serviceWorker.register('./isolate.js')
    if ((await Promise.race([navigator.serviceWorker.ready, patience()])) === 'late') return 'impossible'
    if (sessionStorage.getItem(TRIED) !== null) return 'impossible' // one reload has not helped; another would not either
    sessionStorage.setItem(TRIED, 'yes')
    location.reload()
    return 'pending'
  } catch {
    return 'impossible'
  }
}
