/**
 * The shipped demo data against what demo-data/README.md says of them. The witness for the model is the labels of
 * the test images, with ONNX Runtime itself running it; scripts/train-demo.ts measured the same count with its own
 * forward pass before it wrote the file.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { fromBinary } from '@bufbuild/protobuf'
import { ModelProtoSchema } from 'onnx-buf'
import * as ort from 'onnxruntime-web'
import { expect, test } from 'vitest'
import { openNpz } from '#src/data/npz.js'

const folder = new URL('../demo-data/', import.meta.url)
const readme = readFileSync(new URL('README.md', folder), 'utf8')
const model = readFileSync(new URL('digits.onnx', folder))

function bytesOf(file: string, name: string): { dims: readonly number[]; data: Uint8Array } {
  const { dims, data } = openNpz(readFileSync(new URL(file, folder)), file).get(name)
  if (!(data instanceof Uint8Array))
    throw new TypeError(`${file}: expected uint8, got ${data.constructor.name}`)
  return { dims, data }
}

/** Numbers in the README at the groups of a pattern. */
function stated(pattern: RegExp): number[] {
  const match = pattern.exec(readme)
  if (!match) throw new Error(`demo-data/README.md: expected to find ${pattern}`)
  return match.slice(1).map((digits) => Number(digits.replaceAll(',', '')))
}

test('the model names as many of the shipped test images correctly as the README says', async () => {
  ort.env.wasm.numThreads = 1
  const session = await ort.InferenceSession.create(model)
  const image = bytesOf('test.npz', 'image')
  const label = bytesOf('test.npz', 'label')
  const pixels = Float32Array.from(image.data, (byte) => byte / 255)
  const { logits } = await session.run({ image: new ort.Tensor('float32', pixels, image.dims) })
  expect(logits?.dims).toEqual([1000, 10])
  const values = logits?.data
  if (!(values instanceof Float32Array)) throw new TypeError('logits: expected float32')
  let correct = 0
  label.data.forEach((expected, n) => {
    const row = values.subarray(n * 10, n * 10 + 10)
    if (row.indexOf(Math.max(...row)) === expected) correct++
  })
  const [shipped, right] = stated(/of the (\d+) shipped ones, (\d+) are right/)
  expect(shipped).toBe(label.data.length)
  expect(correct).toBe(right)
  await session.release()
})

test('the stated accuracy on all 10,000 test images is at least 98 %', () => {
  const [percent, correct, all] = stated(/Test accuracy: ([\d.]+) % \((\d+) of (\d+) test images\)/)
  expect(all).toBe(10_000)
  expect(percent).toBeCloseTo(correct! / 100, 6)
  expect(percent).toBeGreaterThanOrEqual(98)
})

test('the arrays have the stated shapes and hold all ten digits', () => {
  const [calibrationCount] = stated(/`calibration.npz`: `image` uint8 \((\d+), 1, 28, 28\)/)
  const [testCount, labelCount] = stated(
    /`test.npz`: `image` uint8 \((\d+), 1, 28, 28\) and `label` uint8 \((\d+)\)/,
  )
  expect(bytesOf('calibration.npz', 'image').dims).toEqual([calibrationCount, 1, 28, 28])
  expect(bytesOf('test.npz', 'image').dims).toEqual([testCount, 1, 28, 28])
  const label = bytesOf('test.npz', 'label')
  expect(label.dims).toEqual([labelCount])
  const counts = Array.from(
    { length: 10 },
    (_, digit) => label.data.filter((value) => value === digit).length,
  )
  expect(counts.every((count) => count > 0)).toBe(true)
  expect(counts.reduce((a, b) => a + b)).toBe(labelCount)
})

test('no calibration image is a test image', () => {
  const images = (file: string) => {
    const { data } = bytesOf(file, 'image')
    return Array.from({ length: data.length / 784 }, (_, n) => data.subarray(n * 784, n * 784 + 784).join())
  }
  const calibration = new Set(images('calibration.npz'))
  expect(calibration.size).toBe(512)
  expect(images('test.npz').filter((image) => calibration.has(image))).toEqual([])
})

test('the model is what the demo wants to show: convolutions, a foldable BatchNormalization, dense layers', () => {
  const proto = fromBinary(ModelProtoSchema, model)
  const nodes = proto.graph?.node ?? []
  expect(proto.opsetImport.map(({ domain, version }) => [domain, version])).toEqual([['', 13n]])
  expect(nodes.map((node) => node.opType)).toEqual([
    ...['Conv', 'BatchNormalization', 'Relu', 'Conv', 'BatchNormalization', 'Relu'],
    ...['Flatten', 'Gemm', 'Relu', 'Gemm'],
  ])
  expect(proto.graph?.input.map(({ name }) => name)).toEqual(['image'])
  expect(proto.graph?.output.map(({ name }) => name)).toEqual(['logits'])
  const [parameters] = stated(/opset 13, ([\d,]+) trained parameters/)
  const trained = (proto.graph?.initializer ?? []).filter(({ name }) => !/\.(mean|variance)$/.test(name))
  const sizes = trained.map(({ dims }) => dims.reduce((product, dim) => product * Number(dim), 1))
  expect(sizes.reduce((a, b) => a + b)).toBe(parameters)
})

test('the folder holds four files and stays small', () => {
  const names = readdirSync(fileURLToPath(folder)).sort()
  expect(names).toEqual(['README.md', 'calibration.npz', 'digits.onnx', 'test.npz'])
  const sizes = names.map((name) => statSync(new URL(name, folder)).size)
  expect(sizes.reduce((a, b) => a + b)).toBeLessThanOrEqual(900_000)
  expect(model.length).toBeLessThanOrEqual(350_000)
})
