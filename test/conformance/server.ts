/**
 * Serves the staged page twice, isolated (COOP, COEP) under /isolated/ and not under /plain/, both with a strict
 * Content-Security-Policy, and takes the results that pages post.
 */
import { createReadStream, existsSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { extname, join, normalize } from 'node:path'
import { folder } from './stage.js'

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.wasm': 'application/wasm',
}

const ISOLATION = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
}

const POLICY = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'"

export type Message = Readonly<Record<string, unknown>>

export interface SuiteServer {
  readonly origin: string
  /** Address of a page whose messages `visit` gets. */
  page(isolated: boolean, threads: readonly number[], visit: (message: Message) => void): string
  close(): void
}

export async function serveSuite(): Promise<SuiteServer> {
  const visitors: ((message: Message) => void)[] = []

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://localhost')
    if (request.method === 'POST' && url.pathname === '/results') {
      const parts: Buffer[] = []
      for await (const part of request) parts.push(part as Buffer)
      response.end()
      visitors[Number(url.searchParams.get('id'))]?.(JSON.parse(Buffer.concat(parts).toString()) as Message)
      return
    }
    const [, space = '', ...rest] = normalize(url.pathname).split('/')
    const file = join(folder, space === 'files' ? '' : 'web', rest.join('/') || 'index.html')
    if (!existsSync(file)) {
      response.writeHead(404).end()
      return
    }
    response.writeHead(200, {
      'Content-Type': TYPES[extname(file)] ?? 'application/octet-stream',
      'Content-Security-Policy': POLICY,
      ...(space === 'isolated' ? ISOLATION : {}),
    })
    createReadStream(file).pipe(response)
  }

  const server = createServer((request, response) => void answer(request, response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const origin = `http://localhost:${(server.address() as AddressInfo).port}`
  return {
    origin,
    page(isolated, threads, visit) {
      const id = visitors.push(visit) - 1
      return `${origin}/${isolated ? 'isolated' : 'plain'}/index.html?id=${id}&threads=${threads.join(',')}`
    },
    close: () => {
      server.close()
      server.closeAllConnections()
    },
  }
}
