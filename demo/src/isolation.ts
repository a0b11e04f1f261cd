/**
 * Whether this page may use threads, and how it gets to: by its host's headers or else by a service worker that adds
 * them (public/isolate.js), after one reload. Where neither works the page runs on one thread.
 */

const TRIED = 'gpfq-isolation-tried'

/** Where the page stands: `pending` means that it is about to reload itself. */
export type Isolation = 'isolated' | 'pending' | 'impossible'

export async function isolate(): Promise<Isolation> {
  if (crossOriginIsolated) return 'isolated'
  if (!('serviceWorker' in navigator) || !isSecureContext || import.meta.env.DEV) return 'impossible'
  try {
    await navigator.serviceWorker.register('./isolate.js')
    await navigator.serviceWorker.ready
    if (sessionStorage.getItem(TRIED) !== null) return 'impossible' // reloaded once and still not: do not go on for ever
    sessionStorage.setItem(TRIED, 'yes')
    location.reload()
    return 'pending'
  } catch {
    return 'impossible'
  }
}
