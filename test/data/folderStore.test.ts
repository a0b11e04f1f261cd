/** A store in a folder: what was set is there whole, and names cannot lead out of the folder. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { folderStore } from '#src/node.js'

const folder = mkdtempSync(join(tmpdir(), 'gpfq-store-'))
afterAll(() => rmSync(folder, { recursive: true }))
const at = (name: string) => join(folder, name)
const bytesOf = (text: string) => new TextEncoder().encode(text)

it('keeps bytes under names with slashes, in place of others, and leaves no temporary files', async () => {
  const store = folderStore(at('a/new/one'))
  expect(await store.get('layers/0001-x.gpfq')).toBeNull()
  expect(existsSync(at('a'))).toBe(false)
  await store.set('layers/0001-x.gpfq', bytesOf('one'))
  await store.set('layers/0001-x.gpfq', bytesOf('three'))
  await store.set('run.json', bytesOf(''))
  expect(await store.get('layers/0001-x.gpfq')).toEqual(bytesOf('three'))
  expect(await store.get('run.json')).toEqual(new Uint8Array(0))
  expect(readdirSync(at('a/new/one'), { recursive: true }).sort()).toEqual([
    ...['layers', 'layers/0001-x.gpfq', 'run.json'],
  ])
})

it('takes the name of a folder that is not there yet', async () => {
  const before = process.cwd()
  process.chdir(folder)
  try {
    await folderStore('plain').set('run.json', bytesOf('one'))
  } finally {
    process.chdir(before)
  }
  expect(readFileSync(at('plain/run.json'), 'utf8')).toBe('one')
}, 10_000)

it('always holds one or the other, while many write to one name', async () => {
  const store = folderStore(at('many'))
  const texts = Array.from({ length: 20 }, (_, i) => String(i).repeat(50_000 + i))
  await store.set('x', bytesOf(texts[0]!))
  const read = async () =>
    expect(texts).toContain(new TextDecoder().decode((await store.get('x')) ?? undefined))
  await Promise.all(texts.flatMap((text) => [store.set('x', bytesOf(text)), read(), read()]))
  await read()
  expect(readdirSync(at('many'))).toEqual(['x'])
})

it.each(['', '/x', 'x/', 'a//b', '..', '../x', 'a/../../x', '.hidden', 'a\\b', 'C:x', 'é', 'a b', 'a\n'])(
  'refuses the name %j',
  async (name) => {
    const store = folderStore(at('names'))
    await expect(store.set(name, bytesOf('x'))).rejects.toThrow(RangeError)
    await expect(store.get(name)).rejects.toThrow(/^name: expected letters, digits/)
    expect(existsSync(at('names'))).toBe(false)
  },
)

it('says in words what the file system refuses', async () => {
  writeFileSync(at('file'), 'x')
  const store = folderStore(at('file'))
  await expect(store.get('x')).rejects.toMatchObject({ code: 'FILE_ACCESS', got: 'a path through a file' })
  await expect(store.set('x', bytesOf('y'))).rejects.toMatchObject({ code: 'FILE_ACCESS' })
  expect(readFileSync(at('file'), 'utf8')).toBe('x')
})
