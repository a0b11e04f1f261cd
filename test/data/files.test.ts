import {
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
import { checkOutput, externalDataReader, openData, readBytes, writeBytes } from '#src/data/files.js'

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
  it('writes whole files, leaves no temporary ones, overwrites only when told', async () => {
    await writeBytes(at('out'), 'one', false)
    await expect(writeBytes(at('out'), 'two', false)).rejects.toMatchObject({ code: 'FILE_EXISTS' })
    expect(readFileSync(at('out'), 'utf8')).toBe('one')
    await writeBytes(at('out'), 'two', true)
    expect(readFileSync(at('out'), 'utf8')).toBe('two')
    expect(readdirSync(folder).filter((name) => name.endsWith('.tmp'))).toEqual([])
    expect(() => checkOutput(at('out'), false)).toThrow(/choose another name or add --force/)
    expect(() => checkOutput(at('no/such/folder'), false)).toThrow(/expected an existing folder/)
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
    await expect(read('missing.bin')).rejects.toThrow(/got nothing there/)
  })
})

it('readBytes says what is wrong in words', async () => {
  await expect(readBytes(folder)).rejects.toThrow(/expected a readable file, got a folder/)
  expect(existsSync(at('never'))).toBe(false)
})
