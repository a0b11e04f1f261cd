import { readFileSync, writeFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { rangeError, typeError } from '#src/checks.js'
import { errorLine } from '#src/cli/hints.js'
import { formatNpy } from '#src/data/npy.js'
import { GpfqError } from '#src/errors.js'
import { HINTS } from '#src/hints.js'
import { decodeModel, encodeModel, graphOf } from '#src/onnx/model.js'
import { DIGITS, gpfq, temporaryFolder } from './run.js'

const options = new Set(['scalePer', 'levels'])
const at = temporaryFolder()

describe('errorLine', () => {
  it('names flags in hints, and leaves other hints as they are', () => {
    const exists = new GpfqError('FILE_EXISTS', {
      place: 'o.onnx',
      problem: 'it exists',
      hint: HINTS.overwrite,
    })
    expect(exists.message).not.toContain('--')
    expect(errorLine(exists, options)).toBe('o.onnx: it exists; choose another name or add --force')
    const other = new GpfqError('INVALID_DATA', { place: 'x', expected: 'a', got: 'b', hint: 'mend it' })
    expect(errorLine(other, options)).toBe(other.message)
  })

  it('names arguments that are options as they are typed', () => {
    expect(errorLine(rangeError('scalePer', 'a', 'b'), options)).toBe('--scale-per: expected a, got b')
    expect(errorLine(rangeError("levels for 'x'", 'a', 'b'), options)).toBe(
      "--levels for 'x': expected a, got b",
    )
    expect(errorLine(rangeError("levelsFor 'x'", 'a', 'b'), options)).toBe(
      "--bits-for 'x': expected a, got b",
    )
    expect(errorLine(typeError({ place: 'runner', problem: 'is missing' }), options)).toBe(
      'runner: is missing',
    )
    const data = new GpfqError('INVALID_DATA', { place: 'levels', problem: 'is a file' })
    expect(errorLine(data, options)).toBe('levels: is a file')
  })

  it('escapes names', () => {
    const error = new GpfqError('NO_MATCH', { place: 'a\u001b[31m\n\u202eb', problem: 'x' })
    expect(errorLine(error, options)).toBe('a\\u{1b}[31m\\u{a}\\u{202e}b: x')
  })
})

describe('gpfq', () => {
  it('says in its own words what loadFeeds notes and refuses', async () => {
    const run = (...args: string[]) =>
      gpfq(['compare', `${DIGITS}digits.onnx`, `${DIGITS}digits.onnx`, '--samples', '4', ...args])
    const { stderr } = await run('--data', `${DIGITS}test.npz`)
    expect(stderr).toMatch(/note: .*test\.npz: not an input, not used: label\n/)
    expect(stderr).toMatch(/note: .*test\.npz: bytes 0\.\.255 .* as they are; is --scale 255 missing\?\n/)
    const images = { type: 'uint8', dims: [1, 28, 28, 1], data: new Uint8Array(28 * 28) } as const
    writeFileSync(at('last.npy'), formatNpy(images))
    expect((await run('--data', at('last.npy'))).stderr).toMatch(
      /last\.npy: expected shape .*; try --layout nhwc\n/,
    )
    const deviation = await run('--data', `${DIGITS}test.npz`, '--std', '1,2')
    expect(deviation).toMatchObject({ code: 1 })
    expect(deviation.stderr).toMatch(/; change or leave out --scale, --mean and --std\n$/)
  })

  it('escapes names that come from a model', async () => {
    const model = decodeModel(readFileSync(`${DIGITS}digits.onnx`))
    for (const node of graphOf(model).node) node.name = `\u001b[31m${node.name}\n\u202e`
    writeFileSync(at('names.onnx'), encodeModel(model))
    for (const command of [
      ['inspect', at('names.onnx')],
      ['quantize', at('names.onnx'), '--method', 'msq', '--radius', 'max', '-o', at('o.onnx')],
    ]) {
      const { code, stdout, stderr } = await gpfq(command)
      expect(code).toBe(0)
      expect(stdout).toContain('\\u{1b}[31m')
      for (const raw of ['\u001b', '\u202e']) expect(stdout + stderr).not.toContain(raw)
    }
  })
})
