/** DATA arguments, labels of folders, and the bound of memory, as they are typed. */

import { spawnSync } from 'node:child_process'
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { encode } from 'fast-png'
import { describe, expect, it } from 'vitest'
import { formatNpy } from '#src/data/npy.js'
import { formatNpz, openNpz } from '#src/data/npz.js'
import { decodeModel, encodeModel, graphOf } from '#src/onnx/model.js'
import { concat } from '../data/arrays.js'
import { npyHeader } from '../data/hostile.js'
import { DIGITS, gpfq, temporaryFolder } from './run.js'

const at = temporaryFolder()
const model = `${DIGITS}digits.onnx`
const digits = openNpz(readFileSync(`${DIGITS}test.npz`)).get('image')
const some = { type: digits.type, dims: [40, 1, 28, 28], data: digits.data.subarray(0, 40 * 784) }

/** The digit network with another name for its input. */
function named(file: string, input: string): string {
  const copy = decodeModel(readFileSync(model))
  const graph = graphOf(copy)
  const before = graph.input[0]?.name ?? ''
  for (const value of graph.input) if (value.name === before) value.name = input
  for (const node of graph.node) node.input = node.input.map((name) => (name === before ? input : name))
  writeFileSync(at(file), encodeModel(copy))
  return at(file)
}

const quantize = (path: string, ...args: string[]) =>
  gpfq(['quantize', path, '--scale', '255', '--bits', '4', '-o', at('o.onnx'), '--force', ...args])

describe('DATA', () => {
  it('can be for an input of any name, and be an array of any name', async () => {
    const path = named('slash.onnx', 'enc/x:0')
    writeFileSync(at('x.npy'), formatNpy(some))
    writeFileSync(at('x.npz'), formatNpz({ 'images:0': some, other: some }))
    expect(await quantize(path, '--calib', `enc/x:0=${at('x.npy')}`)).toMatchObject({ code: 0 })
    expect(await quantize(path, '--calib', `enc/x:0=${at('x.npz')}:images:0`)).toMatchObject({ code: 0 })
    expect(await quantize(path, '--calib', `${at('x.npz')}:other`)).toMatchObject({ code: 0 })
    const { code, stderr } = await quantize(path, '--calib', at('x.npz'))
    expect(code).toBe(1)
    expect(stderr).toMatch(
      /expected an array named "enc\/x:0", got images:0, other; choose one as FILE:ARRAY, for one of several/,
    )
  })

  it('is bounded, and the bound is an option', async () => {
    const packed = gzipSync(
      concat(npyHeader('(2000, 1, 28, 28)', { fortran: true }), new Uint8Array(2000 * 784)),
    )
    writeFileSync(at('f.npy.gz'), packed)
    const { code, stderr } = await quantize(model, '--calib', at('f.npy.gz'), '--max-data', '1M')
    expect(code).toBe(1)
    expect(stderr).toMatch(
      /f\.npy\.gz: expected at most 1 MiB for the unpacked array, got 1\.495 MiB; allow more with --max-data if the file is right\n$/,
    )
    const usage = await quantize(model, '--calib', at('f.npy.gz'), '--max-data', '0')
    expect(usage).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('Expected a size as 512M or 4G.'),
    })
    const layer = ['layer', '--weights', at('w.npy.gz'), '--inputs', 'x.npy', '-o', at('c.npy')]
    writeFileSync(at('w.npy.gz'), gzipSync(concat(npyHeader('(2000, 784)'), new Uint8Array(2000 * 784))))
    expect((await gpfq([...layer, '--max-data', '1M'])).stderr).toMatch(/w\.npy\.gz: expected at most 1 MiB/)
  })

  it('of images: folders are classes, and a bad image is counted, or an error if strict', async () => {
    for (const [i, label] of ['zero', 'one'].entries()) {
      mkdirSync(at(`photos/${i}-${label}`), { recursive: true })
      for (let k = 0; k < 3; k++) {
        const data = Uint8Array.from({ length: 784 }, (_, j) => Number(some.data[(3 * i + k) * 784 + j]))
        writeFileSync(
          at(`photos/${i}-${label}/${k}.png`),
          encode({ width: 28, height: 28, channels: 1, data }),
        )
      }
    }
    writeFileSync(at('photos/0-zero/bad.png'), 'not an image')
    const args = ['eval', model, '--data', at('photos'), '--scale', '255']
    const { code, stdout, stderr } = await gpfq(args)
    expect(stderr).toMatch(/labels: folders of .*photos, 0-zero = 0 to 1-one = 1\n/)
    expect(stderr).toMatch(
      /note: .*photos: 1 of 7 images cannot be read and is left out: .*bad\.png: expected a JPEG/,
    )
    expect(code).toBe(0)
    expect(stdout).toMatch(/samples {5}6 in/)
    expect(await gpfq([...args, '--strict'])).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(
        /error: .*bad\.png: expected a JPEG or PNG image, got another kind of file\n$/,
      ),
    })
    writeFileSync(at('labels.npy'), formatNpy({ type: 'int32', dims: [7], data: new Int32Array(7) }))
    expect(await gpfq([...args, '--labels', at('labels.npy')])).toMatchObject({ code: 0 })
    writeFileSync(at('x.npy'), formatNpy(some))
    expect(await gpfq(['eval', model, '--data', at('x.npy')])).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/^error: --labels LABELS: expected integer labels, got none; /m),
    })
  })
})

const MAIN = fileURLToPath(new URL('../../dist/src/cli/main.js', import.meta.url))

describe('what is printed', () => {
  it.skipIf(!existsSync('/dev/full'))('fails in words where there is no room for it', () => {
    const full = openSync('/dev/full', 'w')
    const run = spawnSync(process.execPath, [MAIN, 'inspect', model, '--json'], {
      stdio: ['ignore', full, 'pipe'],
    })
    closeSync(full)
    expect(run.status).toBe(1)
    expect(run.stderr.toString()).toBe(
      'error: the standard output: expected a place to write to, got a full disk\n',
    )
  })

  it('escapes what comes from files, folders and arguments, in JSON too', async () => {
    const evil = 'a\u001b[2J\u009b31m\u202e\u2028\u200b'
    const path = named('evil.onnx', evil)
    for (const args of [
      ['inspect', path],
      ['inspect', path, '--json'],
      ['quantize', path, '--calib', at(evil), '-o', at('o.onnx')],
      ['quantize', path, '--dry-run', '--include', evil],
      ['quantize', path, `--${evil}`],
      [evil],
      ['eval', path, '--data', `${evil}=${at('none')}`, '--labels', at(evil)],
    ]) {
      const { stdout, stderr } = await gpfq(args)
      expect(`${stdout}${stderr}`, args.join(' ')).not.toMatch(/(?!\n)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u)
    }
    const json = JSON.parse((await gpfq(['inspect', path, '--json'])).stdout)
    expect(json).toMatchObject({ inputs: [{ name: evil }] })
  })

  it('refuses an empty glob as a wrong call', async () => {
    for (const option of ['--include', '--exclude'])
      expect(await gpfq(['quantize', model, '--dry-run', option, ''])).toMatchObject({
        code: 2,
        stderr: expect.stringMatching(/Expected a glob, for instance 'conv1\*', got an empty text/),
      })
  })
})
