/** `--checkpoint DIR`, `--restart` and `gpfq inspect DIR`, as a shell sees them. */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { beforeAll, expect, it } from 'vitest'
import { DIGITS, gpfq, type Run, temporaryFolder } from './run.js'

const at = temporaryFolder()
const command = (output: string, ...more: string[]): string[] => [
  ...['quantize', `${DIGITS}digits.onnx`, '--calib', `${DIGITS}calibration.npz`, '--scale', '255'],
  ...['--samples', '128', '--threads', '1', '-o', at(output), '--force', ...more],
]
const kept = ['--checkpoint', at('kept')]
const same = (a: string, b: string): boolean => readFileSync(at(a)).equals(readFileSync(at(b)))

let interrupted: Run
beforeAll(async () => {
  expect((await gpfq(command('whole.onnx'))).code).toBe(0)
  // The error of a layer is known once the next stage has run both networks.
  interrupted = await gpfq(command('out.onnx', ...kept), { interruptOn: /\[2\/4\]/ })
})

it('Ctrl-C says that the same command goes on, inspect shows how far it came, and the same command gives the same file', async () => {
  expect(interrupted.code).toBe(130)
  expect(interrupted.stderr).toMatch(
    /finished layers are in .*kept: the same command goes on behind them\ninterrupted: no output was written\n$/,
  )
  const before = await gpfq(['inspect', at('kept')])
  expect(before.stdout).toMatch(/^layer +shape +levels +error +SQNR +time$/m)
  expect(before.stdout).toMatch(/^conv1 +25×8 +15 +[\d.]+ % +[\d.]+ dB +[\d.]+ m?s$/m)
  expect(before.stdout).toMatch(/^dense2 +64×10 +15 +– +– +–$/m)
  expect(before.stdout).toMatch(
    /[23] of 4 layers done in [\d.]+ m?s; the same command goes on behind them\n$/,
  )

  const { code, stderr } = await gpfq(command('out.onnx', ...kept))
  expect(code).toBe(0)
  expect(stderr).toMatch(/going on behind the layers that are finished\n/)
  expect(stderr).toMatch(/\[4\/4\] dense2/)
  expect(same('out.onnx', 'whole.onnx')).toBe(true)

  const after = JSON.parse((await gpfq(['inspect', at('kept'), '--json'])).stdout) as {
    finished: boolean
    layers: { name: string; done: boolean; relativeError: number }[]
  }
  expect(after).toMatchObject({ finished: true, damaged: [], version: '0.1.0' })
  expect(after.layers.map(({ name, done }) => [name, done])).toEqual(
    ['conv1', 'conv2', 'dense1', 'dense2'].map((name) => [name, true]),
  )
  for (const { relativeError } of after.layers) expect(relativeError).toBeGreaterThan(0)
})

it('refuses other options by their names, and begins anew with --restart', async () => {
  const other = await gpfq(command('other.onnx', ...kept, '--bits', '3'))
  expect(other.code).toBe(1)
  expect(other.stderr).toMatch(
    /error: checkpoint, --levels: expected 15, got 7; go on with the same, choose another folder, or begin anew with --restart\n$/,
  )
  const anew = await gpfq(command('other.onnx', ...kept, '--bits', '3', '--restart'))
  expect(anew.code).toBe(0)
  expect((await gpfq(command('three.onnx', '--bits', '3'))).code).toBe(0)
  expect(same('other.onnx', 'three.onnx')).toBe(true)
})

it('a damaged file is named by inspect and by a note of the run, which makes it again', async () => {
  const own = ['--checkpoint', at('damaged')]
  expect((await gpfq(command('out.onnx', ...own))).code).toBe(0)
  const file = at('damaged/layers/0001-conv2.gpfq')
  const bytes = readFileSync(file)
  bytes[bytes.length >> 1]! ^= 4
  writeFileSync(file, bytes)
  const state = await gpfq(['inspect', at('damaged')])
  expect(state.stdout).toMatch(/note: .*0001-conv2\.gpfq is damaged and will be made again\n$/)
  const { stdout } = await gpfq(command('again.onnx', ...own))
  expect(stdout).toMatch(
    /note: checkpoint, layers\/0001-conv2\.gpfq: the file was damaged, and is made again/,
  )
  expect(same('again.onnx', 'whole.onnx')).toBe(true)
  expect((await gpfq(['inspect', at('damaged')])).stdout).not.toMatch(/damaged and/)
})

it('writes into no folder of other programs, and takes no --restart alone', async () => {
  mkdirSync(at('mine'))
  writeFileSync(at('mine/plan.json'), '{}')
  const taken = await gpfq(command('x.onnx', '--checkpoint', at('mine')))
  expect(taken.code).toBe(1)
  expect(taken.stderr).toMatch(
    /expected a new or an empty folder, or one of --checkpoint, got a folder with plan/,
  )
  expect(readdirSync(at('mine'))).toEqual(['plan.json'])
  rmSync(at('mine'), { recursive: true })
  writeFileSync(at('file'), '')
  const file = await gpfq(command('x.onnx', '--checkpoint', at('file')))
  expect(file.stderr).toMatch(/file: expected a folder, got a file\n$/)
  const alone = await gpfq(command('x.onnx', '--restart'))
  expect(alone.code).toBe(2)
  expect(alone.stderr).toMatch(/error: --restart: expected --checkpoint DIR together with it, got none\n$/)
  mkdirSync(at('empty'))
  const empty = await gpfq(['inspect', at('empty')])
  expect(empty.stderr).toMatch(
    /empty: expected the folder of a checkpoint, with run\.json and plan\.json, got/,
  )
})
