/** Servers of the apps: a command that listens on a given port, or a folder with the headers that isolate a page. */
import { spawn } from 'node:child_process'
import { createReadStream, existsSync, statSync } from 'node:fs'
import { createServer } from 'node:http'
import { type AddressInfo, createServer as createSocket } from 'node:net'
import { extname, join, normalize } from 'node:path'

export interface Server {
  readonly origin: string
  close(): void
}

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.wasm': 'application/wasm',
}

/** @param isolated whether pages may share memory with their workers. */
export async function serveFolder(folder: string, isolated = true): Promise<Server> {
  const server = createServer((request, response) => {
    const path = normalize(new URL(request.url ?? '/', 'http://localhost').pathname)
    const file = join(folder, path.endsWith('/') ? `${path}index.html` : path)
    if (!existsSync(file) || !statSync(file).isFile()) {
      response.writeHead(404).end()
      return
    }
    response.writeHead(200, {
      'Content-Type': TYPES[extname(file)] ?? 'application/octet-stream',
      'Access-Control-Allow-Origin': '*',
      'Cross-Origin-Resource-Policy': 'cross-origin',
      ...(isolated
        ? {
            'Cross-Origin-Opener-Policy': 'same-origin',
            'Cross-Origin-Embedder-Policy': 'require-corp',
          }
        : {}),
    })
    createReadStream(file).pipe(response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    origin: `http://localhost:${(server.address() as AddressInfo).port}`,
    close() {
      server.close()
      server.closeAllConnections()
    },
  }
}

/** @param command run in `folder` with the port as its last argument. */
export async function serveByCommand(folder: string, command: readonly string[]): Promise<Server> {
  const port = await freePort()
  const [program = '', ...args] = [...command, String(port)]
  const child = spawn(program, args, { cwd: folder, detached: true, stdio: 'ignore' })
  const close = (): void => {
    if (child.pid !== undefined) process.kill(-child.pid)
  }
  const origin = `http://localhost:${port}`
  for (let tries = 0; tries < 300; tries++) {
    try {
      await fetch(origin)
      return { origin, close }
    } catch {
      await new Promise((resolve) => void setTimeout(resolve, 100))
    }
  }
  close()
  throw new Error(`${command.join(' ')}: expected it to listen on port ${port} within 30 s`)
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const socket = createSocket().listen(0, () => {
      const { port } = socket.address() as AddressInfo
      socket.close(() => resolve(port))
    })
  })
}
