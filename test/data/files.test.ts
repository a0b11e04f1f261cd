import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import {
  checkOutput,
  externalDataReader,
  openData,
  readBytes,
  removeUnfinished,
  writeBytes,
} from '#src/data/files.js'

const folder = mkdtempSync(join(tmpdir(), 'gpfq-files-'))
afterAll(() => rmSync(folder, { recursive: true }))
const at = (name: string) => join(folder, name)

describe('openData', () => {
  it('takes PATH and NAME=PATH, and a path with an equals sign for a path', async () => {
    writeFileSync(at('a.npy'), 'x')
    writeFileSync(at('k=v.npy'), 'x')
    expect(await openData(at('a.npy'))).toMatchObject({ name: at('a.npy'), input: undefined })
    expect(await openData(`tokens=${at('a.npy')}`)).toMatchObject({ name: at('a.npy'), input: 'tokens' })
    expect(await openData(at('k=v.npy'))).toMatchObject({ input: undefined })
    await expect(openData(at('none'))).rejects.toThrow(/none: expected a file or a folder, got nothing there/)
  })

  it('lists the images of a folder by name', async () => {
    mkdirSync(at('photos'))
    for (const name of ['b.png', 'a.JPG', '.hidden.png', 'labels.npy'])
      writeFileSync(at(`photos/${name}`), 'x')
    const { files } = await openData(at('photos'))
    expect(files.map(({ name }) => name)).toEqual([at('photos/a.JPG'), at('photos/b.png')])
  })
})

describe('writeBytes', () => {
  it('writes whole files, leaves no temporary ones, overwrites only with force', async () => {
    await writeBytes(at('out'), 'one', false)
    await expect(writeBytes(at('out'), 'two', false)).rejects.toMatchObject({ code: 'FILE_EXISTS' })
    expect(readFileSync(at('out'), 'utf8')).toBe('one')
    await writeBytes(at('out'), 'two', true)
    expect(readFileSync(at('out'), 'utf8')).toBe('two')
    expect(readdirSync(folder).filter((name) => name.endsWith('.tmp'))).toEqual([])
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
      [at('n'.repeat(300)), /expected a writable place, got ENAMETOOLONG/],
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
    const temporary = at(`.large.${process.pid}.tmp`)
    const writing = writeBytes(at('large'), new Uint8Array(64 << 20), false)
    while (!existsSync(temporary)) await new Promise(setImmediate)
    removeUnfinished()
    expect(existsSync(temporary)).toBe(false)
    await expect(writing).rejects.toThrow(/large: expected a writable place/)
    expect(existsSync(at('large'))).toBe(false)
  })
})

describe('externalDataReader', () => {
  it('reads inside the model’s folder and nowhere else', async () => {
    mkdirSync(at('model'))
    writeFileSync(at('model/weights.bin'), 'w')
    writeFileSync(at('secret'), 's')
    symlinkSync(at('secret'), at('model/link'))
    symlinkSync(folder, at('model/up'))
    const read = externalDataReader(at('model/m.onnx'))
    expect(await read('weights.bin')).toHaveLength(1)
    expect(await read('./weights.bin')).toHaveLength(1)
    for (const path of ['../secret', at('secret'), 'link', 'up/secret', '', '.'])
      await expect(read(path), path).rejects.toThrow(/expected external data inside the model's folder/)
    for (const path of ['link', 'up/secret'])
      await expect(read(path), path).rejects.toThrow(/, a symbolic link, .* cp -L$/)
    await expect(read('../secret')).rejects.toThrow(/; move the file there$/)
    await expect(read('missing.bin')).rejects.toThrow(/got nothing there/)
  })
})

it('readBytes says what is wrong in words', async () => {
  await expect(readBytes(folder)).rejects.toThrow(/expected a readable file, got a folder/)
  expect(existsSync(at('never'))).toBe(false)
})
