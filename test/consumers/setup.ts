/**
 * Packs the package as it is built now and installs it with the apps in a temporary folder; asks Node what the right
 * answer is; builds the apps. The folder is removed afterwards.
 */
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export default function setup(): void {
  const root = mkdtempSync(join(tmpdir(), 'gpfq-consumers-'))
  process.on('exit', () => rmSync(root, { recursive: true, force: true })) // even where the rest fails
  const run = (command: string, args: readonly string[], cwd = root): string =>
    execFileSync(command, [...args], { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })

  cpSync('test/consumers/apps', root, { recursive: true })
  run('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', root], process.cwd())
  const tarball = readdirSync(root).find((name) => name.endsWith('.tgz'))
  run('npm', ['install', '--no-audit', '--no-fund', '--silent', `./${tarball}`])
  for (const app of ['vite', 'webpack']) {
    mkdirSync(join(root, app, 'public'))
    cpSync(join(root, 'node_modules/gpfq/demo-data/digits.onnx'), join(root, app, 'public/digits.onnx'))
    cpSync(join(root, 'quantizeAll.js'), join(root, app, 'quantizeAll.js'))
  }
  // Without its package.json: its packages are installed here, and Vite serves nothing from outside a package.
  cpSync('examples/02-vite-page', join(root, 'example'), { recursive: true })
  rmSync(join(root, 'example/package.json'))
  // The plain page's modules have no bundler to drop what they do not use.
  const shared = readFileSync(join(root, 'quantizeAll.js'), 'utf8')
  writeFileSync(join(root, 'plain/quantizeOneLayer.js'), shared.replace(/^import .*$/gm, ''))
  const script = `
    import { readFileSync } from 'node:fs'
    import { quantizeAll } from './quantizeAll.js'
    console.log(JSON.stringify(await quantizeAll(new Uint8Array(readFileSync('vite/public/digits.onnx')))))`
  process.env.CONSUMERS_ROOT = root
  process.env.CONSUMERS_EXPECTED = run('node', ['--input-type=module', '--eval', script])
  run('npx', ['vite', 'build', '--logLevel', 'warn'], join(root, 'vite'))
  run('npx', ['webpack', '--mode', 'production', '--stats', 'errors-warnings'], join(root, 'webpack'))
  for (const name of ['index.html', 'public/digits.onnx']) {
    cpSync(join(root, 'webpack', name), join(root, 'webpack/dist', name.replace('public/', '')))
  }
}
