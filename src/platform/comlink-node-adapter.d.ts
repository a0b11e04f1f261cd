/** comlink 4.4.2 ships the adapter without types for its .mjs path (comlink issue 541). */
declare module 'comlink/dist/esm/node-adapter.mjs' {
  import type { Endpoint } from 'comlink'

  interface NodeEndpoint {
    postMessage(message: unknown, transfer?: readonly never[]): void
    on(event: string, listener: (message: unknown) => void): unknown
    off(event: string, listener: (message: unknown) => void): unknown
  }
  export default function nodeEndpoint(port: NodeEndpoint): Endpoint
}
