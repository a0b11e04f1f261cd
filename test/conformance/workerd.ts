/** Runs the suite in workerd: a configuration that names the modules, one request, one answer. */
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { exitOf, start } from './processes.js'
import { folder } from './stage.js'
import type { SuiteResult } from './suite.js'

const KINDS: Readonly<Record<string, string>> = {
  js: 'esModule',
  wasm: 'wasm',
  json: 'json',
  bin: 'data',
  onnx: 'data',
}

export async function runWorkerd(program: string, visit: (result: SuiteResult) => void): Promise<void> {
  const here = join(folder, 'workerd')
  const beside = readdirSync(join(here, 'suite/edge')).filter((name) => name !== 'edge.js')
  // The entry comes first.
  const paths = ['suite/edge/edge.js', 'gpfq.wasm', ...beside.map((name) => `suite/edge/${name}`)]
  const modules = paths.map(
    (path) => `(name = "${path}", ${KINDS[path.split('.').at(-1) ?? '']} = embed "${path}")`,
  )
  const config = join(here, 'config.capnp')
  writeFileSync(
    config,
    `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "suite", worker = .suite)],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "suite")],
);
const suite :Workerd.Worker = (compatibilityDate = "2026-01-01", modules = [${modules.join(',\n  ')}]);
`,
  )
  const worker = await serveWorkerd(program, config)
  try {
    const start = performance.now()
    const answer = (await (await fetch(worker.origin)).json()) as SuiteResult | { error: string }
    if ('error' in answer) throw new Error(answer.error)
    // Inside, the clock stands still while code runs.
    visit({ ...answer, milliseconds: performance.now() - start })
  } finally {
    worker.close()
  }
}

/** Starts workerd on a free port, whatever the configuration says; `http` must be the socket's name there. */
export async function serveWorkerd(
  program: string,
  config: string,
): Promise<{ origin: string; close(): void }> {
  const running = start(program, ['serve', config, '--socket-addr=http=127.0.0.1:0', '--control-fd=3'], {
    control: true,
  })
  const control = running.child.stdio[3] as NodeJS.ReadableStream
  const listening = new Promise<number>((resolve) => {
    let text = ''
    control.on('data', (data: Buffer) => {
      text += `${data}`
      const port = /"port":\s*(\d+)/.exec(text)
      if (port !== null) resolve(Number(port[1]))
    })
  })
  const ended = exitOf(running).then((code) => {
    throw new Error(`workerd: exit code ${code}\n${running.output()}`)
  })
  ended.catch(() => {})
  return { origin: `http://127.0.0.1:${await Promise.race([listening, ended])}/`, close: running.end }
}
