/** `--runner` of compare and eval: the runtime that is named, or one sentence that says how to install it. */
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { DIGITS, gpfq } from './run.js'

const model = `${DIGITS}digits.onnx`
const data = ['--data', `${DIGITS}test.npz`, '--scale', '255', '--samples', '32', '--threads', '1']
const labels = ['--labels', `label=${DIGITS}test.npz`]
const hasNative = existsSync(fileURLToPath(new URL('../../node_modules/onnxruntime-node', import.meta.url)))

describe.each([
  ['compare', ['compare', model, model, ...data]],
  ['eval', ['eval', model, ...data, ...labels]],
] as const)('gpfq %s --runner', (command, args) => {
  it('runs in the build of ONNX Runtime that is named', async () => {
    const { code, stderr } = await gpfq([...args, '--runner', 'web'])
    expect(code, stderr).toBe(0)
    expect(stderr).toContain(', onnxruntime-web ')
    expect(await gpfq([...args, '--runner', 'gpu'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('Allowed choices are native, web'),
    })
  })

  it.skipIf(!hasNative)(`runs natively (needs onnxruntime-node)`, async () => {
    const { code, stderr } = await gpfq([...args, '--runner', 'native'])
    expect(code, stderr).toBe(0)
    expect(stderr).toContain(', onnxruntime-node ')
  })

  it.skipIf(hasNative)(`says how to install the native build where it is missing`, async () => {
    const missing = await gpfq([command, 'none.onnx', ...args.slice(2), '--runner', 'native'])
    expect(missing).toMatchObject({ code: 1, stdout: '' })
    expect(missing.stderr).toMatch(
      /^error: ONNX Runtime: the package onnxruntime-node does not load \([^\n]*\); install it with: npm install onnxruntime-node\n$/,
    )
  })
})
