import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { totalmem } from 'node:os'
import { dirname } from 'node:path'
import { create } from '@bufbuild/protobuf'
import { StringStringEntryProtoSchema, TensorProto_DataLocation } from 'onnx-buf'
import { describe, expect, it } from 'vitest'
import { decodeModel, encodeModel, graphOf } from '#src/onnx/model.js'
import { DIGITS, gpfq, temporaryFolder } from './run.js'

const at = temporaryFolder()
const model = `${DIGITS}digits.onnx`
const data = ['--calib', `${DIGITS}calibration.npz`, '--scale', '255', '--samples', '64', '--threads', '1']
const files = () => readdirSync(dirname(at('x')))

const LAYER_KEYS = [
  'name',
  'op',
  'inputs',
  'neurons',
  'groups',
  'rounded',
  'samples',
  'levels',
  'codeBits',
  'format',
  'kernel',
  'ranges',
  'kernelReason',
  'relativeError',
  'sqnrDb',
  'heldOutError',
  'judgement',
  'seconds',
] // prettier-ignore

describe('gpfq quantize', () => {
  it('writes a smaller model, says what it does on stderr and the table on stdout', async () => {
    const { code, stdout, stderr } = await gpfq([
      'quantize',
      model,
      ...data,
      '--bits',
      '3',
      '-o',
      at('three.onnx'),
    ])
    expect(code).toBe(0)
    expect(readFileSync(at('three.onnx')).length).toBeLessThan(readFileSync(model).length / 5)
    expect(stderr).toMatch(/levels +7\n/)
    expect(stderr).toMatch(/samples +64 of 512\n/)
    expect(stderr).toMatch(/\[1\/4\] [^\n]+\n\[2\/4\] /)
    expect(stderr).toMatch(/three\.onnx written\n$/)
    expect(stdout).toMatch(/^layer +shape +bits +format +kernel +error/)
    expect(stdout).toMatch(/times smaller/)
    expect(stdout).toMatch(
      /memory: kernels and held tensors [\d.]+ MB; the whole process, with ONNX Runtime, \d+ MB\n$/,
    )
    expect(files()).toEqual(['three.onnx'])

    const again = await gpfq(['quantize', model, ...data, '-o', at('three.onnx')])
    expect(again).toMatchObject({ code: 1, stdout: '' })
    expect(again.stderr).toMatch(
      /^error: .*three\.onnx: the file exists already; choose another name or add --force\n$/,
    )
  })

  it('prints one document of the promised shape with --json, and a fuller one with --report', async () => {
    const args = [
      '--json',
      '--force',
      '--report',
      at('r.json'),
      '-o',
      at('j.onnx'),
      '--bits-for',
      '*=2',
      '--quiet',
    ]
    const { code, stdout, stderr } = await gpfq(['quantize', model, ...data, ...args])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const document = JSON.parse(stdout)
    expect(Object.keys(document)).toEqual([
      'model',
      'output',
      'bytesIn',
      'bytesOut',
      'threads',
      'fastMath',
      'settings',
      'layers',
      'skipped',
      'seconds',
      'heldOut',
      'speed',
      'peakMemoryBytes',
      'processBytes',
    ]) // prettier-ignore
    expect(document).toMatchObject({
      model,
      output: at('j.onnx'),
      threads: 1,
      bytesIn: readFileSync(model).length,
    })
    expect(document.bytesOut).toBe(readFileSync(at('j.onnx')).length)
    expect(document.layers).toHaveLength(4)
    for (const layer of document.layers) {
      expect(Object.keys(layer)).toEqual(LAYER_KEYS)
      expect(layer.levels).toBe(3)
      expect(layer.relativeError).toBeGreaterThan(0)
    }
    expect(Object.keys(document.seconds)).toEqual(['load', 'calibration', 'quantization', 'verify', 'total'])
    // Node alone takes some 40 MB, and ONNX Runtime's code 14.
    expect(document.processBytes).toBeGreaterThan(document.peakMemoryBytes + 54e6)
    expect(document.processBytes).toBeLessThan(totalmem())
    const report = JSON.parse(readFileSync(at('r.json'), 'utf8'))
    expect(report.layers[0]).toMatchObject({
      name: document.layers[0].name,
      formatReason: expect.any(String),
    })
  })

  it('shows the plan and writes nothing with --dry-run', async () => {
    const before = files()
    const { code, stdout } = await gpfq(['quantize', model, '--dry-run', '--json', '--include', '*onv*'])
    expect(code).toBe(0)
    const plan = JSON.parse(stdout)
    expect(plan.layers.length + plan.skipped.length).toBeGreaterThanOrEqual(4)
    expect(plan.foldedBatchNorms).toHaveLength(2)
    expect((await gpfq(['quantize', model, '--dry-run'])).stdout).toMatch(/weights [\d.]+ kB → [\d.]+ kB\n$/)
    expect(files()).toEqual(before)
  })

  it('shows the memory of each layer with --dry-run, and refuses a plan beyond --memory in words', async () => {
    const shown = await gpfq(['quantize', model, '--dry-run'])
    expect(shown.stdout).toMatch(/^layer .* memory +weight size\n/)
    expect(shown.stdout).toMatch(/\ndense1 .* 7\.4 MB +201 kB/)
    const refused = await gpfq(['quantize', model, '--dry-run', '--memory', '340M'])
    expect(refused).toMatchObject({ code: 1, stdout: '' })
    expect(refused.stderr).toMatch(
      /^error: layer 'dense1': its 784 inputs need \d+ MiB .* allow more --memory, or leave the layer out with --exclude\n$/,
    )
  })

  it('says of a budget that levels are chosen in the run', async () => {
    const note = '--target-bits chooses levels in the run; the plan shows those that it starts from'
    const plan = ['quantize', model, '--dry-run', '--target-bits', '3']
    expect((await gpfq(plan)).stdout).toContain(`note: ${note}\n`)
    // As JSON it is the plan that quantizePlanned carries out: its settings hold the target.
    const document = JSON.parse((await gpfq([...plan, '--json'])).stdout)
    expect([document.settings.targetBits, document.notes]).toEqual([3, []])
    expect((await gpfq(['quantize', model, '--dry-run'])).stdout).not.toContain('in the run')
  })

  it('goes on when stderr is closed', async () => {
    const args = ['quantize', model, ...data, '-o', at('deaf.onnx'), '--json']
    const { code, stdout } = await gpfq(args, { closeStderr: true })
    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({ output: at('deaf.onnx') })
    expect(existsSync(at('deaf.onnx'))).toBe(true)
  })

  it('rounds without calibration data', async () => {
    const args = ['--method', 'msq', '--radius', 'max', '-o', at('msq.onnx'), '--quiet']
    expect(await gpfq(['quantize', model, ...args])).toEqual({ code: 0, stdout: '', stderr: '' })
    expect(existsSync(at('msq.onnx'))).toBe(true)
  })

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const)('is ended by %s with %i, and leaves nothing behind', async (signal, exitCode) => {
    const before = files()
    const args = ['--samples', '512', '--batch', '1', '-o', at('never.onnx')]
    const { code, stderr } = await gpfq(['quantize', model, ...data, ...args], {
      interruptOn: /\[1\/4\]/,
      signal,
    })
    expect(stderr).toMatch(/interrupted: no output was written\n$/)
    expect(code).toBe(exitCode)
    expect(files()).toEqual(before)
  })

  it('reads external data from the model’s folder, and from nowhere else', async () => {
    const whole = decodeModel(readFileSync(model))
    const [tensor] = graphOf(whole).initializer
    if (tensor === undefined) throw new Error('expected a model with initializers')
    mkdirSync(at('external'))
    const write = (location: string) => {
      const copy = decodeModel(readFileSync(model))
      const [first] = graphOf(copy).initializer
      if (first === undefined) throw new Error('expected a model with initializers')
      first.rawData = new Uint8Array()
      first.dataLocation = TensorProto_DataLocation.EXTERNAL
      first.externalData = [create(StringStringEntryProtoSchema, { key: 'location', value: location })]
      writeFileSync(at('external/m.onnx'), encodeModel(copy))
    }
    writeFileSync(at('external/w.bin'), tensor.rawData)
    writeFileSync(at('w.bin'), tensor.rawData)

    write('w.bin')
    const args = [
      'quantize',
      at('external/m.onnx'),
      '--method',
      'msq',
      '--radius',
      'max',
      '-o',
      at('e.onnx'),
      '--quiet',
    ]
    expect(await gpfq(args)).toMatchObject({ code: 0, stderr: '' })
    const plain = ['quantize', model, '--method', 'msq', '--radius', 'max', '-o', at('p.onnx'), '--quiet']
    expect(await gpfq(plain)).toMatchObject({ code: 0 })
    expect(readFileSync(at('e.onnx')).equals(readFileSync(at('p.onnx')))).toBe(true)
    const images = ['--data', `${DIGITS}test.npz`, '--samples', '10', '--json']
    expect((await gpfq(['compare', model, at('external/m.onnx'), ...images])).stdout).toContain(
      '"agreement": 1',
    )

    for (const location of ['../w.bin', at('w.bin')]) {
      write(location)
      const { code, stderr } = await gpfq([...args, '--force'])
      expect(code, stderr).toBe(1)
      expect(stderr).toMatch(/^error: [^\n]*external data[^\n]*\n$/)
    }

    write('w.bin')
    const over = await gpfq([...args.slice(0, 6), '-o', at('external/w.bin'), '--force'])
    expect(over.stderr).toMatch(/-o .*w\.bin: expected another file than the model's external data/)
    expect(over.code).toBe(2)
    expect(readFileSync(at('external/w.bin'))).toEqual(Buffer.from(tensor.rawData))
  })
})

describe('gpfq eval, compare, inspect', () => {
  const test = ['--data', `${DIGITS}test.npz`, '--scale', '255', '--samples', '200']

  it('eval counts right answers', async () => {
    const args = ['eval', model, ...test, '--labels', `label=${DIGITS}test.npz`]
    const { code, stdout } = await gpfq([...args, '--json'])
    expect(code).toBe(0)
    const result = JSON.parse(stdout)
    expect(Object.keys(result)).toEqual(['top1', 'top5', 'samples', 'seconds'])
    expect(result).toMatchObject({ samples: 200 })
    expect(result.top1).toBeGreaterThan(0.95)
    expect((await gpfq(args)).stdout).toMatch(/^top-1 +9\d\.\d\d %\ntop-5 +[\d.]+ %\nsamples +200 in/)
  })

  it('compare finds a model equal to itself', async () => {
    const { code, stdout } = await gpfq(['compare', model, model, ...test, '--json'])
    expect(code).toBe(0)
    const document = JSON.parse(stdout)
    expect(document).toMatchObject({
      models: { float: model, quantized: model },
      outputs: [{ kind: 'classes', agreement: 1, sqnrDb: null }],
      samples: 200,
      speed: { samples: 32 },
    })
    expect(document.speedup).toBe(document.speed.floatSeconds / document.speed.quantizedSeconds)
    for (const cost of [document.float, document.quantized]) {
      expect(Object.keys(cost)).toEqual(['bytes', 'loadSeconds', 'millisecondsPerSample', 'memoryBytes'])
      expect(cost.memoryBytes).toBeGreaterThanOrEqual(0)
    }
  })

  it('compare prints sizes, memory, times and how many times faster', async () => {
    const { stdout } = await gpfq(['compare', model, model, ...test, '--threads', '1'])
    expect(stdout).toMatch(/^model +size +load +memory +per sample\n─[^\n]*\n/)
    expect(stdout.match(/digits\.onnx +[\d.]+ kB +\d+ ms +~\d+ MB +[\d.]+ ms\n/g)).toHaveLength(2)
    expect(stdout).toMatch(
      /\nspeed +(as fast|[\d.]+ times (faster|slower)), the shortest of \d+ runs? of 32 samples each\n/,
    )
    expect(stdout).toMatch(/\noutputs on 200 samples:\noutput +SQNR +agreement +taken as/)
    expect(stdout).toMatch(/ equal +100\.00 % +classes: same largest class +0\.00\n/)
  })

  it('inspect lists layers, formats and what can be folded', async () => {
    const { code, stdout } = await gpfq(['inspect', model, '--json'])
    expect(code).toBe(0)
    const document = JSON.parse(stdout)
    expect(document).toMatchObject({ opset: 13, inputs: [{ name: 'image', type: 'float32' }], skipped: [] })
    expect(document.layers.map(({ op }: { op: string }) => op)).toEqual(['Conv', 'Conv', 'Gemm', 'Gemm'])
    expect(document.layers[0].formats.map(({ format }: { format: string }) => format)).toContain('packed')
    expect(document.foldableBatchNorms).toHaveLength(2)
    expect((await gpfq(['inspect', model])).stdout).toMatch(/4 layers with 52,\d+ weights can be quantized/)
  })
})
