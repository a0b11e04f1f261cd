/**
 * The page of `npm run bench:web`: kernels, layers, networks and calibration on wasm and on WebGPU side by side, as a table to copy. Each case
 * runs once to compile its shaders, then in turn on both, and the least time counts.
 */
import { createRunner } from '#src/calibration/onnxRuntime.js'
import type { Runner } from '#src/calibration/runner.js'
import { createExecutor } from '#src/executor/choose.js'
import { type SampleShape, SEGMENT_ROWS } from '#src/methods/samplePlan.js'
import { denseGather } from '#src/methods/samples.js'
import { quantizeModel } from '#src/model/quantizeModel.js'
import { encodeModel } from '#src/onnx/model.js'
import type { Tensor } from '#src/tensor/tensor.js'
import { uniform } from './measure.js'
import { denseChain } from './model.js'
import { residualNetwork } from './networks.js'

/** The globals of the page. */
export interface BenchWindow {
  /** @param short small shapes and two repetitions, to see that it works. @returns the table */
  measure(short: boolean): Promise<string>
}

interface Case {
  readonly name: string
  /** Seconds on a device. */
  readonly time: (runner: Runner) => Promise<number>
}

function noise(dims: readonly number[]): Tensor {
  const next = uniform(dims.length)
  const data = Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, () => 2 * next() - 1)
  return { type: 'float32', dims, data }
}

/** H and G of random rows: where the runner has no kernels for them, in wasm. */
function sums(rows: number, inputs: number): Case {
  const executor = createExecutor({ threads: 1 })
  const shape: SampleShape = {
    ...{
      rows,
      inputs,
      groups: 1,
      streamsEqual: false,
      wholeG: true,
      means: false,
      segmentRows: SEGMENT_ROWS,
    },
    ...{ batchBytes: 4 * rows * inputs, batchPaddedBytes: 0, batchRows: rows },
  }
  const [x, xq] = [noise([rows, inputs]), noise([inputs, rows])].map(({ data }) =>
    Float32Array.from(data, Number),
  )
  const batches = () => [{ x: x!, xq: xq!, gather: denseGather(rows, inputs) }]
  const options = { place: 'samples' }
  return {
    name: `kernel: H and G of ${rows} × ${inputs}`,
    async time(runner) {
      const inWasm = await executor
      const start = performance.now()
      const found = await runner.observe?.(shape, batches, options)
      if (found === undefined || found === null) await inWasm.observe(shape, batches(), options)
      return (performance.now() - start) / 1e3
    },
  }
}

/** A run of a network, outputs downloaded. Its session stays open: it is timed again. */
function network(name: string, model: Uint8Array, dims: readonly number[]): Case {
  const sessions = new Map<Runner, ReturnType<Runner['load']>>()
  const x = noise(dims)
  return {
    name,
    async time(runner) {
      const opened = sessions.get(runner) ?? runner.load(model)
      sessions.set(runner, opened)
      const session = await opened
      const start = performance.now()
      await session.run({ x })
      return (performance.now() - start) / 1e3
    },
  }
}

function calibration(name: string, model: Uint8Array, dims: readonly number[]): Case {
  return {
    name,
    async time(runner) {
      const batches = Array.from({ length: 4 }, () => ({ x: noise(dims) }))
      const { report } = await quantizeModel(model, { runner, calibration: batches, threads: 1, holdout: 0 })
      return Object.values(report.seconds).reduce((sum, seconds) => sum + seconds, 0)
    },
  }
}

function cases(short: boolean): readonly Case[] {
  const [width, side, channels, rows] = short ? [64, 32, 8, 8] : [1024, 128, 64, 256]
  const dense = (depth: number): Uint8Array => encodeModel(denseChain(depth, width))
  const residual = encodeModel(residualNetwork(side, channels))
  const image = (count: number): readonly number[] => [count, 3, side, side]
  return [
    sums(short ? 256 : 4096, width),
    network(`layer: MatMul ${width} × ${width}, ${rows} rows`, dense(1), [rows, width]),
    network(`network: 8 of these layers`, dense(8), [rows, width]),
    network(`network: ResNet-18, ${channels} channels, 4 images of ${side}²`, residual, image(4)),
    calibration(`whole run: 4 of these layers, 4 × ${rows} samples`, dense(4), [rows, width]),
    ...(short ? [] : [calibration(`whole run: ResNet-18, 4 × 8 images of ${side}²`, residual, image(8))]),
  ]
}

const page: BenchWindow = {
  async measure(short) {
    const [wasm, gpu] = [await createRunner(), await createRunner({ device: 'webgpu' })]
    const lines = ['| case | wasm, ms | WebGPU, ms | times as fast |', '|---|---|---|---|']
    for (const { name, time } of cases(short)) {
      say(`measuring: ${name}`)
      await time(gpu)
      const [a, b]: [number[], number[]] = [[], []]
      for (let repetition = 0; repetition < (short ? 2 : 5); repetition++) {
        a.push(await time(wasm))
        b.push(await time(gpu))
      }
      const [slow, fast] = [Math.min(...a), Math.min(...b)]
      const cells = [1e3 * slow, 1e3 * fast, slow / fast].map((value) => value.toPrecision(3))
      lines.push(`| ${name} | ${cells.join(' | ')} |`)
    }
    const notes = [`${wasm.name}; ${gpu.name}`, navigator.userAgent, ...(gpu.fellBack ? [gpu.fellBack] : [])]
    const text = [...lines, '', ...notes].join('\n')
    say(text)
    return text
  },
}
Object.assign(globalThis, page)

const shown = document.body.appendChild(document.createElement('pre'))
function say(text: string): void {
  shown.textContent = text
}

const button = document.body.appendChild(document.createElement('button'))
button.textContent = 'Measure'
button.addEventListener('click', () => {
  button.disabled = true
  page
    .measure(false)
    .catch((error: unknown) => say(String(error)))
    .finally(() => {
      button.disabled = false
    })
})
say('wasm and WebGPU side by side. It takes some minutes; keep this tab in front.')
