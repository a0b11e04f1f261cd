import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { checkOutput, removeUnfinished, writeBytes } from '#src/data/output.js'

const folder = mkdtempSync(join(tmpdir(), 'gpfq-output-'))
afterAll(() => rmSync(folder, { recursive: true }))
const at = (name: string) => join(folder, name)
const temporaries = () => readdirSync(folder).filter((name) => name.startsWith('.gpfq-'))

describe('writeBytes', () => {
  it('writes whole files, leaves no temporary ones, overwrites only with force', async () => {
    await writeBytes(at('out'), 'one', false)
    await expect(writeBytes(at('out'), 'two', false)).rejects.toMatchObject({ code: 'FILE_EXISTS' })
    expect(readFileSync(at('out'), 'utf8')).toBe('one')
    expect(await writeBytes(at('out'), 'two', true)).toEqual([])
    expect(readFileSync(at('out'), 'utf8')).toBe('two')
    expect(temporaries()).toEqual([])
    expect(() => checkOutput(at('out'), false)).toThrow(
      /out: the file exists already; choose another name, or allow overwriting/,
    )
    expect(() => checkOutput(at('no/such/folder'), false)).toThrow(/expected an existing folder/)
  })

  it('refuses paths that cannot be written before any work', async () => {
    writeFileSync(at('file'), 'x')
    mkdirSync(at('taken'))
    const refusal = (path: string) => {
      try {
        checkOutput(path, true)
      } catch (error) {
        return error
      }
      return null
    }
    for (const [path, message] of [
      ['', /^output: expected the name of a file, got an empty one/],
      [at('taken'), /taken: expected a file or nothing there yet, got a folder/],
      ['/dev/null', /expected a file or nothing there yet, got a device/],
      [at('file/o.onnx'), /o\.onnx: expected a folder .*file, got a file/],
      [at('file/no/o.onnx'), /no: expected a writable place, got a path through a file/],
      [at('n'.repeat(300)), /expected a writable place, got a name that is too long/],
    ] as const) {
      const error = expect.objectContaining({ code: 'FILE_ACCESS', message: expect.stringMatching(message) })
      expect(refusal(path), path).toEqual(error)
      await expect(writeBytes(path, 'x', true), path).rejects.toEqual(error)
    }
    expect(refusal(at('file'))).toBeNull()
  })

  it.skipIf(process.getuid?.() === 0)('refuses folders without permission to write', () => {
    mkdirSync(at('locked'))
    chmodSync(at('locked'), 0o555)
    expect(() => checkOutput(at('locked/o.onnx'), false)).toThrow(
      /o\.onnx: expected a writable folder .*locked, got no permission/,
    )
  })

  it('removes what is half-written when the process has to end', async () => {
    const writing = writeBytes(at('large'), new Uint8Array(64 << 20), false)
    while (temporaries().length === 0) await new Promise(setImmediate)
    removeUnfinished()
    expect(temporaries()).toEqual([])
    await expect(writing).rejects.toThrow(/large: expected a writable place/)
    expect(existsSync(at('large'))).toBe(false)
  })

  it('writes through symbolic links, also where they lead to nothing yet, and keeps the mode of a file', async () => {
    mkdirSync(at('elsewhere'))
    writeFileSync(at('elsewhere/real'), 'old')
    chmodSync(at('elsewhere/real'), 0o640)
    symlinkSync('elsewhere/real', at('link'))
    symlinkSync('link', at('link2'))
    await expect(writeBytes(at('link2'), 'new', false)).rejects.toMatchObject({ code: 'FILE_EXISTS' })
    expect(await writeBytes(at('link2'), 'new', true)).toEqual([])
    expect(lstatSync(at('link2')).isSymbolicLink()).toBe(true)
    expect(readFileSync(at('elsewhere/real'), 'utf8')).toBe('new')
    expect(statSync(at('elsewhere/real')).mode & 0o777).toBe(0o640)
    symlinkSync('elsewhere/later', at('dangling'))
    await writeBytes(at('dangling'), 'x', false)
    expect(readFileSync(at('elsewhere/later'), 'utf8')).toBe('x')
    symlinkSync('circle', at('circle'))
    await expect(writeBytes(at('circle'), 'x', true)).rejects.toThrow(
      /circle: expected a writable place, got/,
    )
    expect(readdirSync(at('elsewhere'))).toEqual(['later', 'real'])
  })

  it('says that other names of a file keep their content', async () => {
    writeFileSync(at('one'), 'old')
    linkSync(at('one'), at('other'))
    expect(await writeBytes(at('one'), 'new', true)).toEqual([
      expect.stringMatching(
        /one: it had 2 names \(hard links\), and the others keep the content from before$/,
      ),
    ])
    expect(readFileSync(at('other'), 'utf8')).toBe('old')
  })

  it('writes to no file that lies at a name that could be guessed', async () => {
    writeFileSync(at('victim'), 'mine')
    symlinkSync('victim', at(`.guess.${process.pid}.tmp`))
    await writeBytes(at('guess'), 'x', false)
    expect(readFileSync(at('victim'), 'utf8')).toBe('mine')
  })

  it('takes names as long as the disk does', async () => {
    await writeBytes(at('n'.repeat(255)), 'x', false)
    expect(readFileSync(at('n'.repeat(255)), 'utf8')).toBe('x')
  })
})
