/**
 * Whether this page may use threads, and how it gets to: by its host's headers or else by a service worker that adds
 * them (isolate.js), after one reload. Where neither works the page runs on one thread.
 */

const TRIED = 'gpfq-isolation-tried'

/** Where the page stands: `pending` means that it is about to reload itself. */
export type Isolation = 'isolated' | 'pending' | 'impossible'

/** Where a service worker is refused, its registration may neither fail nor ever be ready. */
const PATIENCE = 2000
const patience = () => new Promise<'late'>((resolve) => setTimeout(resolve, PATIENCE, 'late'))

export async function isolate(): Promise<Isolation> {
  if (crossOriginIsolated) return 'isolated'
  if (!('serviceWorker' in navigator) || !isSecureContext || import.meta.env.DEV) return 'impossible'
  try {
    await navigator.serviceWorker.register('./isolate.js')
    if ((await Promise.race([navigator.serviceWorker.ready, patience()])) === 'late') return 'impossible'
    if (sessionStorage.getItem(TRIED) !== null) return 'impossible' // reloaded once and still not: do not go on for ever
    sessionStorage.setItem(TRIED, 'yes')
    location.reload()
    return 'pending'
  } catch {
    return 'impossible'
  }
}
