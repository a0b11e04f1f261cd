/**
 * Every runtime that gpfq promises to run in: where it is found, how it is started, in which modes it runs the suite, and
 * how it is installed if it is not there. Pages post their results, so browsers are only ever told an address.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { chromium } from '@playwright/test'
import { exitOf, start } from './processes.js'
import type { SuiteServer } from './server.js'
import { folder, nodeEntry } from './stage.js'
import type { SuiteResult } from './suite.js'
import { runWorkerd } from './workerd.js'

/** The folder that scripts/install-runtimes.sh fills. */
const CACHE = process.env.GPFQ_RUNTIMES ?? join(homedir(), '.cache/gpfq/runtimes')
const INSTALL = 'scripts/install-runtimes.sh'

/** Longest that one start of a runtime may take, in milliseconds. */
const PATIENCE = 120_000

export interface Run {
  /** For the table: what is special about it. */
  readonly label: string
  readonly modes: readonly string[]
  run(modes: readonly string[], visit: (result: SuiteResult) => void): Promise<void>
}

export interface Runtime {
  readonly name: string
  /** Its program, or null if it is not installed. */
  readonly program: string | null
  readonly install: string
  /** The command that tells its version, where it is not the program with --version. */
  readonly version?: readonly [string, ...string[]]
  readonly runs: readonly Run[]
}

export const program = (...candidates: string[]): string | null => candidates.find(existsSync) ?? null
export const cached = (name: string): string => join(CACHE, 'node_modules', name)

export function runtimes(server: SuiteServer): Runtime[] {
  return [
    ...[20, 22, 24].map((major) => node(major)),
    scripted('Bun', cached('.bin/bun'), ['run'], ['web:2']),
    scripted('Deno', cached('.bin/deno'), ['run', '--allow-all'], ['web:2']),
    {
      name: 'workerd',
      program: program(cached('.bin/workerd')),
      install: `${INSTALL} workerd`,
      runs: [{ label: '', modes: ['1'], run: (_, visit) => runWorkerd(cached('.bin/workerd'), visit) }],
    },
    browser('Chromium', program('/usr/bin/chromium', process.env.GPFQ_CHROMIUM ?? ''), (path) => ({
      isolated: (url) => openChromium(path, url),
      plain: (url) => openChromium(path, url),
    }))(server),
    browser('Firefox', program('/usr/bin/firefox-esr', '/usr/bin/firefox'), (path) => ({
      isolated: (url) => openFirefox(path, url),
      plain: (url) => openFirefox(path, url),
    }))(server),
    webKit(server),
  ]
}

function node(major: number): Runtime {
  const own = process.versions.node.startsWith(`${major}.`) ? process.execPath : ''
  return {
    ...scripted(`Node ${major}`, own || cached(`node${major}/bin/node`), [], []),
    install: `${INSTALL} node`,
  }
}

function scripted(name: string, path: string, args: readonly string[], more: readonly string[]): Runtime {
  return {
    name,
    program: program(path),
    install: `${INSTALL} ${name.toLowerCase()}`,
    runs: [
      {
        label: '',
        modes: ['1', '2', '4', ...more],
        async run(modes, visit) {
          let line = ''
          const running = start(path, [...args, nodeEntry, folder, ...modes], {
            takeStdout(text) {
              line += text
              for (let end = line.indexOf('\n'); end >= 0; end = line.indexOf('\n')) {
                visit(JSON.parse(line.slice(0, end)) as SuiteResult)
                line = line.slice(end + 1)
              }
            },
          })
          const code = await withPatience(exitOf(running), running.end)
          if (code !== 0) throw new Error(`exit code ${code}\n${running.output()}`)
        },
      },
    ],
  }
}

interface Opened {
  readonly output: () => string
  /** Resolves if it ends by itself. */
  readonly ended: Promise<unknown>
  close(): Promise<void> | void
}
type Open = (url: string) => Promise<Opened>

function browser(
  name: string,
  path: string | null,
  open: (path: string) => Readonly<Record<'isolated' | 'plain', Open>> & { readonly unshared?: Open },
): (server: SuiteServer) => Runtime {
  const openers = open(path ?? '')
  const visitPage =
    (server: SuiteServer, isolated: boolean, openPage: Open): Run['run'] =>
    async (modes, visit) => {
      let settle: (error?: Error) => void = () => {}
      const done = new Promise<void>((resolve, reject) => {
        settle = (error) => (error === undefined ? resolve() : reject(error))
      })
      const url = server.page(isolated, modes.map(Number), (message) => {
        if ('error' in message) settle(new Error(String(message.error)))
        else if ('done' in message) settle()
        else visit(message as unknown as SuiteResult)
      })
      const opened = await openPage(url)
      const died = opened.ended.then(() => {
        throw new Error(`it ended\n${opened.output()}`)
      })
      try {
        await withPatience(Promise.race([done, died]), () => settle(new Error(`silence\n${opened.output()}`)))
      } finally {
        died.catch(() => {})
        await opened.close()
      }
    }
  return (server) => ({
    name,
    program: path,
    install: `${INSTALL} ${name.toLowerCase()}`,
    runs: [
      { label: 'isolated', modes: ['1', '2', '4'], run: visitPage(server, true, openers.isolated) },
      { label: 'not isolated', modes: ['2'], run: visitPage(server, false, openers.plain) },
      ...(openers.unshared === undefined
        ? []
        : [{ label: 'no SharedArrayBuffer', modes: ['2'], run: visitPage(server, true, openers.unshared) }]),
    ],
  })
}

export const CHROMIUM_ARGS: readonly string[] = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

async function openChromium(path: string, url: string): Promise<Opened> {
  const instance = await chromium.launch({ executablePath: path, args: [...CHROMIUM_ARGS] })
  const page = await instance.newPage()
  const written: string[] = []
  page.on('console', (message) => written.push(message.text()))
  page.on('pageerror', (error) => written.push(error.message))
  await page.goto(url)
  const ended = new Promise((resolve) => page.on('crash', resolve))
  return { output: () => written.join('\n'), ended, close: () => instance.close() }
}

const FIREFOX_PREFERENCES = [
  ['datareporting.policy.dataSubmissionEnabled', false],
  ['browser.shell.checkDefaultBrowser', false],
  ['browser.aboutwelcome.enabled', false],
  ['app.normandy.enabled', false],
  ['network.connectivity-service.enabled', false],
  ['network.captive-portal-service.enabled', false],
]

async function openFirefox(path: string, url: string): Promise<Opened> {
  const profile = mkdtempSync(join(tmpdir(), 'gpfq-firefox-'))
  const preferences = FIREFOX_PREFERENCES.map(([name, value]) => `user_pref("${name}", ${value});`)
  writeFileSync(join(profile, 'user.js'), preferences.join('\n'))
  return openProgram(path, ['--headless', '--no-remote', '--profile', profile, url], { HOME: profile }, () =>
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 }),
  )
}

/** WebKitGTK keeps SharedArrayBuffer from isolated pages too, unless told otherwise: a third kind of page. */
function webKit(server: SuiteServer): Runtime {
  const runtime = browser('WebKit', miniBrowser(), (path) => ({
    isolated: (url) => openWebKit(path, url, { JSC_useSharedArrayBuffer: '1' }),
    plain: (url) => openWebKit(path, url, {}),
    unshared: (url) => openWebKit(path, url, {}),
  }))(server)
  // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg's own placeholder
  return { ...runtime, version: ['dpkg-query', '--show', '--showformat=${Version}', 'libwebkit2gtk-4.1-0'] }
}

function miniBrowser(): string | null {
  const folders = ['x86_64-linux-gnu', 'aarch64-linux-gnu'].map(
    (triple) => `/usr/lib/${triple}/webkit2gtk-4.1`,
  )
  return existsSync('/usr/bin/xvfb-run') ? program(...folders.map((name) => `${name}/MiniBrowser`)) : null
}

async function openWebKit(path: string, url: string, env: Record<string, string>): Promise<Opened> {
  return openProgram('/usr/bin/xvfb-run', ['--auto-servernum', path, url], {
    WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS: '1',
    WEBKIT_DISABLE_COMPOSITING_MODE: '1',
    LIBGL_ALWAYS_SOFTWARE: '1',
    ...env,
  })
}

async function openProgram(
  command: string,
  args: readonly string[],
  env: Record<string, string>,
  after: () => void = () => {},
): Promise<Opened> {
  const running = start(command, args, { env })
  const ended = exitOf(running)
  return {
    output: running.output,
    ended,
    async close() {
      running.end()
      await ended
      after()
    },
  }
}

export async function withPatience<T>(work: Promise<T>, giveUp: () => void): Promise<T> {
  const timer = setTimeout(giveUp, PATIENCE)
  try {
    return await work
  } finally {
    clearTimeout(timer)
  }
}

/** The first number with dots (or the date) in what a program says of its version. */
export function versionOf({ program, version }: Runtime): string {
  const [command, ...args] = version ?? [program ?? '', '--version']
  try {
    const text = execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
    return /\d+[.-][\d.-]*\d/.exec(text)?.[0] ?? ''
  } catch {
    return ''
  }
}
