/**
 * Files of kilobytes that unpack to gigabytes, or say so, are refused with the words of the command line. Its hint differs:
 * a page has no options.
 */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify, stripVTControlCharacters } from 'node:util'
import { constants, deflateRawSync, gzipSync } from 'node:zlib'
import type { Page } from '@playwright/test'
import { zipSync } from 'fflate'
import { npyHeader, pngOf } from '../../test/data/hostile.ts'
import { bytesOf, denseModel, noise, npy } from './files.ts'
import { chooseFiles, expect, quantize, test, upload } from './person.ts'

const CASES = new URL('../../../shared/cases/data/', import.meta.url)
const MAIN = fileURLToPath(new URL('../../dist/src/cli/main.js', import.meta.url))
const DIGITS = fileURLToPath(new URL('../../demo-data/digits.onnx', import.meta.url))
const dense = bytesOf(denseModel(16, 2))

/** Gzip of `head` and more than a gibibyte of zeros: 64 MiB of them are packed once. A browser refuses several members. */
function gzippedZeros(head: Uint8Array): Uint8Array {
  const open = { finishFlush: constants.Z_FULL_FLUSH } // not the end of the stream, and refers to nothing before
  const zeros = deflateRawSync(new Uint8Array(2 ** 26), open)
  const header = gzipSync('').subarray(0, 10)
  return Buffer.concat([header, deflateRawSync(head, open), ...new Array<Buffer>(17).fill(zeros)])
}

/** A zip archive that says in its directory and before the member that the member has 4 GiB. */
function lyingArchive(): Uint8Array {
  const archive = Buffer.from(zipSync({ 'x.npy': npyHeader('(268435456, 16)') }))
  archive.writeUInt32LE(0xfffffff0, archive.indexOf('PK\x01\x02', 'latin1') + 24)
  archive.writeUInt32LE(0xfffffff0, 22)
  return archive
}

/** What the command line says of the file, without its hint. */
async function refusal(model: Uint8Array, name: string, bytes: Uint8Array): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'gpfq-'))
  await writeFile(join(folder, 'model.onnx'), model)
  await writeFile(join(folder, name), bytes)
  const words = [MAIN, 'quantize', 'model.onnx', '--calib', name, '-o', 'out.onnx', '--quiet']
  try {
    await promisify(execFile)('node', words, { cwd: folder })
  } catch (error) {
    const { stderr } = error as { readonly stderr: string }
    const line = /^error: (.*?)(;.*)?$/m.exec(stripVTControlCharacters(stderr))?.[1]
    if (line !== undefined) return line
    throw error
  }
  throw new Error(`expected the command line to refuse ${name}`)
}

async function choose(page: Page, model: Uint8Array, name: string, bytes: Uint8Array): Promise<void> {
  await page.goto('./')
  await chooseFiles(page, 'Choose an ONNX model', [upload('model.onnx', model)])
  await chooseFiles(page, 'Choose calibration data', [upload(name, bytes)])
}

const arrays = [
  ['gzipped.npy.gz', () => gzipSync(npyHeader('(268435456, 16)', { fortran: true }))],
  ['archive.npz.gz', () => gzippedZeros(zipSync({ 'x.npy': npyHeader('(4, 16)') }))],
  ['lie.npz', lyingArchive],
] as const

for (const [name, make] of arrays)
  test(`arrays: ${name}`, async ({ page }) => {
    const bytes = make()
    await choose(page, dense, name, bytes)
    await expect(page.getByRole('alert')).toContainText(await refusal(dense, name, bytes))
    await chooseFiles(page, 'Choose calibration data', [upload('x.npy', npy([8, 16], noise(8 * 16)))])
    await quantize(page)
  })

const images = [
  ['wide.png', () => pngOf(2 ** 30, 2 ** 10, gzipSync('')), true],
  ['png-bomb-109k.png', () => readFile(new URL('png-bomb-109k.png', CASES)), existsSync(CASES)],
  ['lie4g.npz', () => readFile(new URL('lie4g.npz', CASES)), existsSync(CASES)],
] as const

for (const [name, make, there] of images)
  test(`images and cases: ${name}`, async ({ page }) => {
    test.skip(!there, `needs ${CASES.pathname}`)
    const digits = await readFile(DIGITS)
    const bytes = await make()
    await choose(page, digits, name, bytes)
    const run = page.getByRole('button', { name: 'Quantize' })
    await expect(page.getByRole('alert').or(run.and(page.locator(':enabled')))).toBeVisible()
    if (await run.isEnabled()) await run.click() // images are decoded in the run
    await expect(page.getByRole('alert')).toContainText(await refusal(digits, name, bytes))
  })
