/** The options of the methods, on the network that the package ships. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { DIGITS, gpfq, temporaryFolder } from './run.js'

const at = temporaryFolder()
const common = [
  'quantize',
  `${DIGITS}digits.onnx`,
  ...['--calib', `${DIGITS}calibration.npz`, '--scale', '255', '--samples', '64', '--threads', '1'],
]

interface Document {
  readonly bytesOut: number
  readonly settings: Record<string, unknown>
  readonly layers: readonly { readonly levels: number; readonly inputs: number; readonly neurons: number }[]
}

async function quantize(...args: string[]): Promise<Document> {
  const { code, stdout, stderr } = await gpfq([...common, ...args, '--json', '--force', '-o', at('out.onnx')])
  expect(code, stderr).toBe(0)
  return JSON.parse(stdout) as Document
}

describe('methods', () => {
  it('go from the command line into the settings', async () => {
    const qronos = await quantize(
      '--levels',
      '3',
      '--method',
      'qronos',
      '--passes',
      '2',
      '--no-act-order',
      '--damping',
      '0.1',
    )
    expect(qronos.settings).toMatchObject({ method: 'qronos', passes: 2, actOrder: false, damping: 0.1 })
    const spfq = await quantize('--levels', '7', '--method', 'spfq', '--seed', '5', '--alignment', '2')
    expect(spfq.settings).toMatchObject({
      method: 'spfq',
      seed: 5,
      alignment: 2,
      actOrder: false,
      damping: 0,
    })
    const best = await quantize('--levels', '3', '--preset', 'best')
    expect(best.settings).toMatchObject({ method: 'qronos', passes: 3, actOrder: true, damping: 0.01 })
    const plain = await quantize('--levels', '7')
    expect(plain.settings).toMatchObject({ method: 'gpfq', passes: 0, seed: null, sparsity: null })
  })

  it('draw alike for one seed and otherwise for another', async () => {
    const bytes: string[] = []
    for (const seed of ['5', '5', '6']) {
      await quantize('--levels', '7', '--method', 'spfq', '--seed', seed)
      bytes.push(readFileSync(at('out.onnx'), 'base64'))
    }
    expect(bytes[1]).toBe(bytes[0])
    expect(bytes[2]).not.toBe(bytes[0])
  })

  it('report the share of zeros that was asked for', async () => {
    await gpfq([
      ...common,
      '--sparsity',
      'target:0.6',
      '--report',
      at('r.json'),
      '--force',
      '-o',
      at('out.onnx'),
    ])
    const { layers } = JSON.parse(readFileSync(at('r.json'), 'utf8')) as { layers: { zeros: number }[] }
    for (const { zeros } of layers) {
      expect(zeros).toBeGreaterThanOrEqual(0.6)
      expect(zeros).toBeLessThan(0.75)
    }
  })

  it('refuse what cannot be, with what can', async () => {
    const refused = async (...args: string[]): Promise<string> => {
      const { code, stderr } = await gpfq([...common, ...args, '-o', at('never.onnx')])
      expect(code).not.toBe(0)
      return stderr
    }
    expect(await refused('--alignment', '2')).toMatch(/expected a method that has it \(spfq\), got gpfq/)
    expect(await refused('--damping', '-1')).toMatch(/--damping/)
    expect(await refused('--sparsity', 'hard')).toMatch(/Expected soft:λ or hard:λ/)
    expect(await refused('--levels', '16', '--sparsity', 'hard:0.1')).toMatch(/expected an odd number/)
    expect(await refused('--target-bits', '3', '--bits', '4')).toMatch(/cannot be used with/)
    expect(await refused('--target-bits', '1')).toMatch(/--target-bits: expected a number from 2 to 8, got 1/)
    expect(await refused('--target-size', '0.001')).toMatch(/--target-size: expected at least 0\.\d+/)
  })
})

describe('mixed precision', () => {
  it('keeps to its budget, spends it unevenly and leaves what --bits-for says', async () => {
    const { layers } = await quantize('--target-bits', '3.5')
    const weights = layers.reduce((sum, { inputs, neurons }) => sum + inputs * neurons, 0)
    const bits = layers.reduce(
      (sum, layer) => sum + Math.log2(layer.levels + 1) * layer.inputs * layer.neurons,
      0,
    )
    expect(bits / weights).toBeLessThanOrEqual(3.5)
    expect(bits / weights).toBeGreaterThan(3)
    expect(new Set(layers.map(({ levels }) => levels)).size).toBeGreaterThan(1)

    const small = await quantize('--target-size', '0.15')
    const large = await quantize('--target-size', '0.2')
    expect(small.bytesOut).toBeLessThan(large.bytesOut)
    const fixed = await quantize('--target-size', '0.2', '--bits-for', '*conv1*=8')
    expect(fixed.layers[0]!.levels).toBe(255)
  })

  it('shows the plan and other budgets', async () => {
    const { stdout } = await gpfq([...common, '--target-bits', '3.5', '--force', '-o', at('out.onnx')])
    expect(stdout).toMatch(
      /^mixed precision: 3\.\d\d bits of 3\.50 bits allowed, .*; layers × levels: \d × \d/,
    )
    expect(stdout).toMatch(/\n {2}other budgets: 2\.00 bits → .* 8\.00 bits → /)
  })
})
