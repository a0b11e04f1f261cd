/** The page of observe.spec.ts: the same samples summed in wasm and on the GPU. */
import { createExecutor } from '#src/executor/choose.js'
import type { SampleShape } from '#src/methods/samplePlan.js'
import { denseGather, type Gather, paddedBytes, type SampleBatch } from '#src/methods/samples.js'
import { observeOnGpu } from '#src/webgpu/observe.js'

export interface Samples {
  readonly kind: 'dense' | 'convolution'
  /** Rows of each batch; of a convolution images of 6 × 5. */
  readonly batches: readonly number[]
  /** Inputs per group; of a convolution channels per group, with kernels of 3 × 3. */
  readonly inputs: number
  readonly groups: number
  readonly streamsEqual: boolean
  readonly wholeG: boolean
  readonly segmentRows: number
  readonly later: boolean
}

export interface Compared {
  readonly floats: number
  /** Floats whose bits differ. */
  readonly different: number
  /** Largest difference, relative to the largest value. */
  readonly largest: number
  /** Sums, one or one for each segment. */
  readonly sums: readonly [wasm: number, gpu: number]
  readonly finite: boolean
}

export interface ObserveWindow {
  /** Its architecture; null where there is none. */
  adapter(): Promise<string | null>
  compare(samples: Samples): Promise<Compared>
  /** What is thrown for samples with a NaN. */
  refuse(): Promise<string>
}

let seed = 1
/** Uniform in ±1, of 24 bits. */
function random(): number {
  seed = (seed * 1103515245 + 12345) % 2 ** 31
  return seed / 2 ** 30 - 1
}

const noise = (length: number): Float32Array => Float32Array.from({ length }, random)

const [HEIGHT, WIDTH] = [6, 5]

/** Patches of 3 × 3 at every pixel of images (images, groups·channels, 6, 5), padded by 1. */
function patchGather(images: number, channels: number, groups: number): Gather {
  const [height, width] = [HEIGHT + 2, WIDTH + 2]
  const plane = 4 * height * width
  const planes = images * channels * groups
  const rowAt = new Uint32Array(images * HEIGHT * WIDTH)
  for (let r = 0; r < rowAt.length; r++) {
    const [image, pixel] = [Math.floor(r / (HEIGHT * WIDTH)), r % (HEIGHT * WIDTH)]
    rowAt[r] = image * channels * groups * plane + 4 * (Math.floor(pixel / WIDTH) * width + (pixel % WIDTH))
  }
  const columnAt = Uint32Array.from({ length: 9 * channels }, (_, t) => {
    return Math.floor(t / 9) * plane + 4 * (Math.floor((t % 9) / 3) * width + (t % 3))
  })
  return {
    ...{ rows: rowAt.length, inputs: 9 * channels, groups, groupBytes: channels * plane, rowAt, columnAt },
    ...{ contiguous: false, images },
    padding: {
      planes,
      height: HEIGHT,
      width: WIDTH,
      paddedHeight: height,
      paddedWidth: width,
      top: 1,
      left: 1,
    },
  }
}

function gatherOf({ kind, inputs, groups }: Samples, count: number): { gather: Gather; floats: number } {
  if (kind === 'convolution')
    return { gather: patchGather(count, inputs, groups), floats: count * inputs * groups * HEIGHT * WIDTH }
  const columns = inputs * groups
  const whole = denseGather(count, columns)
  const columnAt = whole.columnAt.subarray(0, inputs)
  return { gather: { ...whole, inputs, groups, groupBytes: 4 * inputs, columnAt }, floats: count * columns }
}

function prepare(samples: Samples): { shape: SampleShape; batches: readonly SampleBatch[] } {
  const { streamsEqual, wholeG, segmentRows } = samples
  const batches = samples.batches.map((count): SampleBatch => {
    const { gather, floats } = gatherOf(samples, count)
    return { x: noise(floats), xq: streamsEqual ? null : noise(floats), gather }
  })
  const gathers = batches.map(({ gather }) => gather)
  const most = (of: (batch: SampleBatch) => number): number => Math.max(...batches.map(of))
  const shape: SampleShape = {
    ...{ streamsEqual, wholeG, segmentRows, means: false },
    ...{ inputs: gathers[0]!.inputs, groups: gathers[0]!.groups },
    rows: gathers.reduce((sum, { rows }) => sum + rows, 0),
    batchBytes: most(({ x }) => x.byteLength),
    batchPaddedBytes: most(({ gather }) => paddedBytes(gather)),
    batchRows: most(({ gather }) => gather.rows),
  }
  return { shape, batches }
}

async function openDevice(): Promise<GPUDevice> {
  const device = await (await navigator.gpu.requestAdapter())?.requestDevice()
  if (device === undefined) throw new Error('expected an adapter')
  return device
}

const page: ObserveWindow = {
  adapter: async () => (await navigator.gpu?.requestAdapter())?.info.architecture ?? null,

  async compare(samples) {
    const { shape, batches } = prepare(samples)
    const options = { place: 'samples', later: samples.later }
    const executor = await createExecutor({ threads: 1 })
    const device = await openDevice()
    try {
      const wasm = await executor.observe(shape, batches, options)
      const gpu = await observeOnGpu(device, shape, batches, options)
      const [a, b] = [wasm, gpu].map(({ sums }) => sums.flatMap(({ values }) => [...values]))
      const scale = a!.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
      const differences = a!.map((value, i) => Math.abs(value - b![i]!))
      return {
        floats: a!.length,
        different: differences.filter((difference) => difference !== 0).length,
        largest: differences.reduce((most, value) => Math.max(most, value), 0) / scale,
        sums: [wasm.sums.length, gpu.sums.length],
        finite: scale > 0 && a!.length === b!.length && b!.every(Number.isFinite),
      }
    } finally {
      device.destroy()
      await executor.close()
    }
  },

  async refuse() {
    const samples = { kind: 'dense', batches: [8], inputs: 4, groups: 1, segmentRows: 8 } as const
    const { shape, batches } = prepare({ ...samples, streamsEqual: true, wholeG: false, later: false })
    batches[0]!.x[5] = Number.NaN
    try {
      await observeOnGpu(await openDevice(), shape, batches, { place: 'layer' })
      return 'nothing'
    } catch (error) {
      return error instanceof Error ? error.message : String(error)
    }
  },
}
Object.assign(globalThis, page)
