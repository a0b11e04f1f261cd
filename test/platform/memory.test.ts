/**
 * A process whose addresses are limited (`ulimit -v`): a run either fits into them, with a smaller reservation and fewer
 * threads, or ends with OUT_OF_MEMORY in words, and never with advice for pages or with words of other libraries.
 */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { DIGITS, temporaryFolder } from '../cli/run.js'

const MAIN = fileURLToPath(new URL('../../dist/src/cli/main.js', import.meta.url))
const inFolder = temporaryFolder()

/** Quantizes the digit network with so many GiB of addresses. */
const quantizeWithin = (gibibytes: number, nodeOptions: string): Promise<{ code: unknown; stderr: string }> =>
  new Promise((resolve) => {
    const args = [
      'quantize',
      `${DIGITS}digits.onnx`,
      '--calib',
      `${DIGITS}calibration.npz`,
      '--samples',
      '64',
    ]
    execFile(
      '/bin/sh',
      ['-c', `ulimit -v ${gibibytes * 2 ** 20} && exec "$@"`, 'sh', process.execPath, MAIN].concat(args, [
        ...['-o', inFolder(`${gibibytes}.onnx`), '--quiet', '--force'],
      ]),
      { env: { ...process.env, NODE_OPTIONS: nodeOptions } },
      // A process that ends by a signal has no code.
      (error, _, stderr) => resolve({ code: error === null ? 0 : (error.signal ?? error.code), stderr }),
    )
  })

const withoutTrapHandler = '--disable-wasm-trap-handler'
const limited = describe.skipIf(
  process.platform !== 'linux' || !process.allowedNodeEnvironmentFlags.has(withoutTrapHandler),
)

limited('a limit of addresses', () => {
  it.each([2, 4])('is an error that says what is needed and what to do: %d GiB', async (gibibytes) => {
    const { code, stderr } = await quantizeWithin(gibibytes, '')
    expect(code).toBe(1)
    expect(stderr).toMatch(
      /^error: shared memory: it needs \d+ MiB, .*\(ulimit -v\).*NODE_OPTIONS=--disable-wasm-trap-handler/,
    )
    expect(stderr.trim().split('\n')).toHaveLength(1)
  })

  it('leads to a smaller plan where Node reserves no more than it uses', async () => {
    expect(await quantizeWithin(4, withoutTrapHandler)).toEqual({ code: 0, stderr: '' })
  })

  it('refuses a thread that would find no addresses, which would end the process', async () => {
    const { code, stderr } = await quantizeWithin(1.5, withoutTrapHandler)
    expect(code).toBe(1)
    expect(stderr).toMatch(/^error: worker thread: it needs \d+ MiB of addresses/)
  })
})
