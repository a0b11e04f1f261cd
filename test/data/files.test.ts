import { execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { externalDataReader, openData, readBytes, splitData } from '#src/data/files.js'

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

  it('lists the images of folders in it, with the class that they are in, links in a circle too', async () => {
    for (const path of [
      'sorted/dog/b.png',
      'sorted/dog/old/a.png',
      'sorted/cat/c.jpg',
      'sorted/.git/x.png',
    ]) {
      mkdirSync(dirname(at(path)), { recursive: true })
      writeFileSync(at(path), 'x')
    }
    symlinkSync(at('sorted'), at('sorted/dog/up'))
    symlinkSync(at('nowhere'), at('sorted/gone'))
    const { files } = await openData(at('sorted'))
    expect(files.map(({ name, folder: own }) => [name, own])).toEqual([
      [at('sorted/cat/c.jpg'), 'cat'],
      [at('sorted/dog/b.png'), 'dog'],
      [at('sorted/dog/old/a.png'), 'dog'],
    ])
  })

  it('takes any text for the name of an input and of an array', async () => {
    for (const name of ['x.npy', 'd.npz', 'q=1.npz']) writeFileSync(at(name), 'x')
    const path = at('x.npy')
    for (const input of ['a/x', 'enc/x:0', 'a=b', 'a=b=', 'C:\\x', '__proto__', 'constructor', '=']) {
      expect(splitData(`${input}=${path}`, ['other', input]), input).toEqual({
        input,
        path,
        array: undefined,
      })
      expect(splitData(`${input}=${at('d.npz')}:${input}`, [input]), input).toEqual({
        input,
        path: at('d.npz'),
        array: input,
      })
    }
    // Names that are not known here still have a path behind them.
    expect(splitData(`a/x=${path}`)).toEqual({ input: 'a/x', path, array: undefined })
    expect(splitData(`${at('d.npz')}:input:0`)).toEqual({
      input: undefined,
      path: at('d.npz'),
      array: 'input:0',
    })
    expect(splitData(`${at('q=1.npz')}:y=2`)).toEqual({ input: undefined, path: at('q=1.npz'), array: 'y=2' })
    expect(splitData('folder=1/none.npy').path).toBe('1/none.npy')
    expect(splitData('./folder=1/none.npy').path).toBe('./folder=1/none.npy')
    expect(splitData(`x=${'n'.repeat(5000)}:a`, ['x']).input).toBe('x')
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

describe('readBytes', () => {
  it('says what is wrong in words', async () => {
    await expect(readBytes(folder)).rejects.toThrow(/expected a readable file, got a folder/)
    await expect(readBytes('/dev/zero')).rejects.toThrow(/zero: expected a file, got a device/)
    await expect(readBytes(at('n'.repeat(300)))).rejects.toThrow(/got a name that is too long/)
    await expect(readBytes('a\0b')).rejects.toThrow(/got a name that no file can have/)
    expect(existsSync(at('never'))).toBe(false)
  })

  it('refuses files of more than 2 GiB before it reads them', async () => {
    writeFileSync(at('sparse'), '')
    truncateSync(at('sparse'), 3 * 2 ** 30)
    await expect(readBytes(at('sparse'))).rejects.toThrow(
      /sparse: expected a file of at most 2 GiB, got 3 GiB$/,
    )
  })

  it.skipIf(process.platform === 'win32')('reads pipes', async () => {
    execFileSync('mkfifo', [at('pipe')])
    spawn('sh', ['-c', 'printf abc > "$0"', at('pipe')])
    expect(await readBytes(at('pipe'))).toEqual(Uint8Array.of(97, 98, 99))
  })
})
