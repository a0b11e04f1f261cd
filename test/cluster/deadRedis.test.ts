/** A Redis that is not there: the command and the worker say so in our own words, and end when they are told to. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { formatNpy } from '#src/data/npy.js'
import { encodeModel } from '#src/onnx/model.js'
import { feedOf } from '../model/feeds.js'
import * as b from '../onnx/build.js'

/** Nothing listens there: port 9 discards, where anything does. */
const DEAD = 'redis://127.0.0.1:9'

const folder = mkdtempSync(join(tmpdir(), 'gpfq-dead-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** @param interruptedAt what it says when it gets Ctrl-C */
async function gpfq(args: readonly string[], interruptedAt?: string) {
  const child = spawn(process.execPath, [resolve('dist', 'src', 'cli', 'main.js'), ...args], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    const before = said
    said += text
    // Once: a second Ctrl-C ends the process at once.
    if (interruptedAt !== undefined && said.includes(interruptedAt) && !before.includes(interruptedAt))
      child.kill('SIGINT')
  })
  const [code] = await once(child, 'close')
  return { code, lines: said.trim().split('\n') }
}

it('gpfq quantize ends with one sentence when the store does not answer', async () => {
  const [model, calib] = [join(folder, 'm.onnx'), join(folder, 'x.npy')]
  const node = b.node('MatMul', ['x', 'w'], ['y'], {}, 'layer')
  const input = b.value('x', b.DataType.FLOAT, ['n', 16])
  writeFileSync(model, encodeModel(b.model([node], [b.noisy('w', [16, 16], 1)], [input], ['y'])))
  writeFileSync(calib, formatNpy(feedOf([64, 16], 3)))
  const files = [model, '--calib', calib, '-o', join(folder, 'out.onnx')]
  const cluster = ['--queue', DEAD, '--store', DEAD, '--shards', '1', '--quiet']
  const { code, lines } = await gpfq(['quantize', ...files, ...cluster])
  expect(code).toBe(1)
  expect(lines.at(-1)).toMatch(/^error: store: Redis does not answer \([^)]*ECONNREFUSED[^)]*\); start it; /)
  expect(lines.join('\n')).not.toMatch(/ioredis|maxRetries|unhandled/i)
})

it('gpfq worker says so, and ends by Ctrl-C', async () => {
  const { lines } = await gpfq(['worker', '--queue', DEAD, '--store', DEAD], 'trying again')
  // A process that does not end by itself is ended without this line.
  expect(lines.at(-1)).toBe('interrupted: no output was written')
  expect(lines.join('\n')).toMatch(/queue: [^\n]*ECONNREFUSED[^\n]*; trying again/)
  expect(lines.join('\n')).not.toMatch(/ioredis|maxRetries|unhandled/i)
})
