/** Options of activations, on the network that the package ships: its layers are small, so they run on integers when asked. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { checkSettings } from '#src/cli/options.js'
import { UsageError } from '#src/cli/usage.js'
import { collectKernelFor, parseActivations, parseRanges } from '#src/cli/values.js'
import type { ModelPlan, PlanLayer } from '../../src/options.js'
import { DIGITS, gpfq, temporaryFolder } from './run.js'

const at = temporaryFolder()
const model = `${DIGITS}digits.onnx`
const data = ['--calib', `${DIGITS}calibration.npz`, '--scale', '255', '--samples', '64', '--threads', '1']
const ON_INTEGERS = ['--activations', '8', '--activations-for', '*=8']

async function plan(...args: string[]): Promise<ModelPlan> {
  const { code, stdout, stderr } = await gpfq(['quantize', model, '--dry-run', '--json', '--quiet', ...args])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  return JSON.parse(stdout) as ModelPlan
}

const kernels = ({ layers }: { layers: readonly Pick<PlanLayer, 'name' | 'kernel' | 'ranges'>[] }) =>
  layers.map(({ name, kernel, ranges }) => `${name} ${kernel} ${ranges}`)

describe('values', () => {
  it('parse bits, rules of ranges, and kernels for globs', () => {
    expect(parseActivations('8')).toBe(8)
    expect(['minmax', 'mse', 'search', 'percentile:99.9', 'percentile:100'].map(parseRanges)).toEqual([
      ...[{ rule: 'minmax' }, { rule: 'mse' }, { rule: 'search' }],
      ...[99.9, 100].map((percentile) => ({ rule: 'percentile', percentile })),
    ])
    expect(collectKernelFor('a=b*=float', collectKernelFor('conv*=8'))).toEqual([
      { pattern: 'conv*', kernel: 'int8' },
      { pattern: 'a=b*', kernel: 'float' },
    ])
    for (const text of ['', '4', '8.0', '16'])
      expect(() => parseActivations(text), text).toThrow(/Expected 8/)
    for (const text of ['', 'max', 'percentile', 'percentile:', 'percentile:50', 'percentile:100.1'])
      expect(() => parseRanges(text), text).toThrow(/percentile:P with P above 50 and up to 100/)
    for (const text of ['conv1', '=8', 'conv1=', 'conv1=4', 'conv1=int8'])
      expect(() => collectKernelFor(text), text).toThrow(/Expected GLOB=8 or GLOB=float/)
  })

  it('that the library refuses go by the name of the option', () => {
    const activations = { bits: 8 } as const
    const check: (options: Parameters<typeof checkSettings>[0]) => void = (options) => checkSettings(options)
    for (const [options, text] of [
      [{ scalePer: { group: 32 } }, '--activations: expected scales per layer or neuron'],
      [{ method: 'frame' }, '--activations: expected a method of codes of weights, got frame'],
    ] as const) {
      expect(() => check({ ...options, activations })).toThrow(UsageError)
      expect(() => check({ ...options, activations })).toThrow(text)
    }
  })
})

describe('usage errors', () => {
  it.each([
    [['--activations', '4'], /--activations <bits>' argument '4' is invalid\. Expected 8\./],
    [['--ranges', 'mse'], /--ranges: expected --activations 8 together with it, got none/],
    [['--activations-for', '*=8'], /--activations-for: expected --activations 8 together with it, got none/],
    [
      ['--activations', '8', '--ranges', 'percentile:101'],
      /'percentile:101' is invalid\. Expected minmax, mse/,
    ],
    [['--activations', '8', '--activations-for', 'conv1'], /Expected GLOB=8 or GLOB=float/],
    [['--activations', '8', '--scale-per', 'group:32'], /--activations: .* got groups of 32 inputs/],
    [['--activations', '8', '--method', 'frame'], /--activations: .* got frame, whose file holds float32/],
    [['--activations', '8', '-o', at('o.onnx')], /--calib DATA: expected calibration samples, got none/],
    [
      ['--activations', '8', '--method', 'msq', '--radius', 'max', '-o', at('o.onnx')],
      /--calib DATA: expected calibration samples, got none; --activations needs them/,
    ],
  ] as const)('%j', async (args, message) => {
    const output = args.includes('-o' as never) ? [] : ['--dry-run']
    const { code, stdout, stderr } = await gpfq(['quantize', model, ...args, ...output])
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toMatch(message)
  })

  it('a glob without a match names near names', async () => {
    const args = ['--dry-run', '--quiet', '--activations', '8', '--activations-for', 'konv1=8']
    expect(await gpfq(['quantize', model, ...args])).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^error: activations for 'konv1': .* got no match; near names: 'conv1'/),
    })
  })
})

describe('--dry-run', () => {
  it('shows the kernel of each layer, and why', async () => {
    const args = ['quantize', model, '--dry-run', '--quiet', '--activations', '8']
    const { stdout } = await gpfq([...args, '--activations-for', '*conv2*=8'])
    expect(stdout).toMatch(/^layer +op +shape +bits +format +kernel +memory +weight size\n/)
    expect(stdout).toMatch(/conv1 .* packed +float .*\nconv2 .* packed +int8 .*\ndense1 .* float/)
    expect(stdout).toMatch(
      /\npacked \(3 of 4 layers\): .* runs as float\npacked \(1 of 4 layers\): .* into int8 once/,
    )
    for (const line of [
      'float: integer convolutions of 5×5 pay from 32 input channels on; it has 1 (conv1)',
      'int8: asked for int8 (conv2)',
      'float: one row a sample: integer kernels are slower (dense1)',
      'float: its output is an output of the model (dense2)',
    ])
      expect(stdout).toContain(`\n${line}\n`)
    expect((await gpfq(['quantize', model, '--dry-run', '--quiet'])).stdout).not.toContain('float: ')
  })

  it('the last glob that matches applies, and the plan has the tensors whose ranges are fixed', async () => {
    const all = await plan(...ON_INTEGERS, '--activations-for', 'dense*=float', '--ranges', 'percentile:99.9')
    expect(kernels(all)).toEqual([
      ...['conv1 int8 static', 'conv2 int8 static', 'dense1 float null', 'dense2 float null'],
    ])
    expect(all.settings.activations).toMatchObject({
      bits: 8,
      ranges: { rule: 'percentile', percentile: 99.9 },
      for: [
        { pattern: '*', kernel: 'int8' },
        { pattern: 'dense*', kernel: 'float' },
      ],
    })
    expect(all.stages.flatMap(({ ranges }) => ranges)).toHaveLength(3)
    const plain = await plan()
    expect(plain.settings.activations).toBeNull()
    expect(plain.stages.flatMap(({ ranges }) => ranges)).toEqual([])
  })

  it('says why a format or an alphabet has no integers', async () => {
    const float = ['conv1', 'conv2', 'dense1', 'dense2'].map((name) => `${name} float null`)
    for (const [args, reason] of [
      [['--format', 'nbits'], 'asked for int8, but format nbits has no integer kernel'],
      [['--format', 'float'], 'asked for int8, but format float has no integer kernel'],
      [['--levels', '256'], 'asked for int8, but 256 levels do not fit into int8'],
    ] as const) {
      const planned = await plan(...ON_INTEGERS, ...args)
      expect(kernels(planned)).toEqual(float)
      expect(planned.layers.map(({ kernelReason }) => kernelReason)).toEqual(new Array(4).fill(reason))
    }
    expect(kernels(await plan(...ON_INTEGERS, '--levels', '255'))).toContain('dense2 int8 static')
  })
})

describe('a run', () => {
  it('has kernels, ranges, reasons and the speed in its documents', async () => {
    const args = [...data, ...ON_INTEGERS, '--ranges', 'mse', '-o', at('i.onnx')]
    const { code, stdout, stderr } = await gpfq([
      ...['quantize', model, ...args, '--json', '--quiet', '--report', at('i.json')],
    ])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const document = JSON.parse(stdout)
    expect(kernels(document)).toEqual(
      ['conv1', 'conv2', 'dense1', 'dense2'].map((name) => `${name} int8 static`),
    )
    for (const { kernelReason } of document.layers) expect(kernelReason).toBe('asked for int8')
    expect(document.settings.activations).toMatchObject({ bits: 8, ranges: { rule: 'mse' } })
    expect(Object.keys(document.speed)).toEqual(['floatSeconds', 'quantizedSeconds', 'runs', 'samples'])
    const report = JSON.parse(readFileSync(at('i.json'), 'utf8'))
    expect(report).toMatchObject({ speed: document.speed, layers: [{ kernel: 'int8' }, {}, {}, {}] })
  })

  it('ends with a table that says what runs on integers, and how fast', async () => {
    const args = ['quantize', model, ...data, '--activations', '8', '--activations-for', 'conv2=8']
    const { code, stdout, stderr } = await gpfq([...args, '-o', at('t.onnx')])
    expect(code, stderr).toBe(0)
    expect(stderr).toMatch(/\n +activations +bits 8, ranges minmax,.* for conv2=int8\n/)
    expect(stdout).toMatch(/^layer +shape +bits +format +kernel +error/)
    expect(stdout).toMatch(/\nconv2 .* packed +int8 /)
    expect(stdout).toContain('\nint8: asked for int8 (conv2)\n')
    expect(stdout).toMatch(
      /\n(as fast|[\d.]+ times (faster|slower)) here: [\d.]+ m?s a sample, float [\d.]+ m?s; shortest of \d+ runs in turn, onnx/,
    )
  })

  it('without a layer on integers measures no speed', async () => {
    const args = [...data, '--activations', '8', '-o', at('f.onnx'), '--json', '--quiet']
    const document = JSON.parse((await gpfq(['quantize', model, ...args])).stdout)
    expect(document.speed).toBeNull()
    expect(kernels(document)).toEqual(
      ['conv1', 'conv2', 'dense1', 'dense2'].map((name) => `${name} float null`),
    )
  })

  it.each([
    ['format qdq', ['--format', 'qdq']],
    ['inputs that are bytes', ['--byte-inputs']],
    ['one scale a layer', ['--scale-per', 'layer', '--levels', '16']],
    ['a path for each channel', ['--per-channel', '--radius', 'max']],
    ['another method and bias correction', ['--method', 'qronos', '--bias-correction', '--levels', '7']],
    ['rounding', ['--method', 'msq', '--radius', 'max', '--ranges', 'search']],
    ['mixed precision', ['--target-bits', '4']],
  ] as const)('goes with %s', async (name, args) => {
    const output = at(`${name}.onnx`)
    const { code, stdout, stderr } = await gpfq([
      ...['quantize', model, ...data, ...ON_INTEGERS, ...args, '-o', output, '--json', '--quiet'],
    ])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    for (const { kernel, ranges } of JSON.parse(stdout).layers as PlanLayer[])
      expect([kernel, ranges]).toEqual(['int8', 'static'])
  })
})

describe('gpfq inspect', () => {
  it('says what --activations 8 would run on integers, and why', async () => {
    const document = JSON.parse((await gpfq(['inspect', model, '--json'])).stdout)
    const planned = await plan('--activations', '8')
    const reasons = (layers: readonly PlanLayer[]) => layers.map(({ kernelReason }) => kernelReason)
    expect(kernels(document)).toEqual(kernels(planned))
    expect(reasons(document.layers)).toEqual(reasons(planned.layers))
    const { stdout } = await gpfq(['inspect', model])
    expect(stdout).toMatch(/\nlayer +op +inputs×neurons +uses +formats at 15 levels +kernel/)
    expect(stdout).toContain(
      '\nkernel with quantize --activations 8:\n  float: integer convolutions of 5×5 pay from 32 input channels on; it has 1 (conv1)\n',
    )
  })
})
