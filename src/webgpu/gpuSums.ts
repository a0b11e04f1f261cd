/**
 * The sums H and G of one layer on a GPU: samples are uploaded, padded and gathered there (shaders.ts), and forgotten once they are
 * summed. What src/methods/gramSums.ts does in wasm, with the same order of summation.
 */
import { type Sum, sumLayout } from '../methods/observations.js'
import { observationShape, type SampleShape } from '../methods/samplePlan.js'
import { paddedBytes, type SampleBatch } from '../methods/samples.js'
import type { SegmentSums } from '../methods/sumUp.js'
import { BLOCK, panelsOf } from '../wasm/kernels.js'
import { GATHER, GRAM, MOVE, PAD, THREADS, TILE } from './shaders.js'

/** Bytes of gathered rows of a stream before they are summed: more rows at once are no faster. */
const ROW_BYTES = 32 * 2 ** 20

/** GPUBufferUsage and GPUMapMode, whose numbers are those of the specification. TypeScript knows their types alone. */
const USAGE = { MAP_READ: 1, COPY_SRC: 4, COPY_DST: 8, UNIFORM: 64, STORAGE: 128 } as const
const READ = 1

/** Rows that are gathered before they are summed: whole blocks. */
const capacityOf = ({ rows, inputs, groups }: SampleShape): number => {
  const blocks = Math.min(Math.ceil(rows / BLOCK), Math.floor(ROW_BYTES / (4 * BLOCK * inputs * groups)))
  return BLOCK * Math.max(1, blocks)
}

/** Bytes of the largest buffer. */
export const largestBuffer = (shape: SampleShape): number => {
  const { batchBytes, batchPaddedBytes, batchRows, inputs, groups } = shape
  const { length } = sumLayout(observationShape(shape))
  const rows = 4 * capacityOf(shape) * inputs * groups
  return Math.max(4 * length, batchBytes, batchPaddedBytes, 4 * batchRows, rows)
}

type Name = 'pad' | 'gather' | 'gram' | 'move'
type Pipelines = Readonly<Record<Name, GPUComputePipeline>>

/** Compiled once for a device. */
const compiled = new WeakMap<GPUDevice, Promise<Pipelines>>()

async function compile(device: GPUDevice): Promise<Pipelines> {
  const pipeline = (code: string): Promise<GPUComputePipeline> =>
    device.createComputePipelineAsync({
      layout: 'auto',
      compute: { module: device.createShaderModule({ code }), entryPoint: 'main' },
    })
  const [pad, gather, gram, move] = await Promise.all([PAD, GATHER, GRAM, MOVE].map(pipeline))
  return { pad: pad!, gather: gather!, gram: gram!, move: move! }
}

export class GpuSums implements SegmentSums {
  readonly #device: GPUDevice
  readonly #pipelines: Pipelines
  readonly #shape: SampleShape
  readonly #capacity: number
  readonly #length: number
  /** Offset of G. */
  readonly #g: number
  readonly #rows: { readonly x: GPUBuffer; readonly xq: GPUBuffer }
  readonly #segment: GPUBuffer
  readonly #total: GPUBuffer
  /** Of one piece of samples. */
  #passing: GPUBuffer[] = []
  #filled = 0

  private constructor(device: GPUDevice, pipelines: Pipelines, shape: SampleShape) {
    const { length, g } = sumLayout(observationShape(shape))
    this.#device = device
    this.#pipelines = pipelines
    this.#shape = shape
    this.#capacity = capacityOf(shape)
    this.#length = length
    this.#g = g
    const rows = (): GPUBuffer => this.#buffer(4 * this.#capacity * shape.inputs * shape.groups)
    const xq = rows()
    this.#rows = { xq, x: shape.streamsEqual ? xq : rows() }
    this.#segment = this.#buffer(4 * length)
    this.#total = this.#buffer(4 * length)
  }

  static async create(device: GPUDevice, shape: SampleShape): Promise<GpuSums> {
    const pipelines = compiled.get(device) ?? compile(device)
    compiled.set(device, pipelines)
    return new GpuSums(device, await pipelines, shape)
  }

  /** Resolves when the samples are gathered, and may be changed. @param ends whether the last row ends a segment */
  async add({ x, xq, gather }: SampleBatch, ends: boolean): Promise<void> {
    const encoder = this.#device.createCommandEncoder()
    const rowAt = this.#upload(gather.rowAt)
    const columnAt = this.#upload(gather.columnAt)
    const float = this.#padded(encoder, x, gather)
    const quantized = this.#shape.streamsEqual ? float : this.#padded(encoder, xq ?? x, gather)
    const { inputs, groups } = this.#shape
    const columns = inputs * groups
    for (let start = 0; start < gather.rows; ) {
      const rows = Math.min(gather.rows - start, this.#capacity - this.#filled)
      const p = [rows, inputs, columns, gather.groupBytes, this.#filled, start]
      const into = (from: GPUBuffer, to: GPUBuffer): void =>
        this.#run(encoder, 'gather', p, [from, rowAt, columnAt, to], rows * columns)
      into(quantized, this.#rows.xq)
      if (!this.#shape.streamsEqual) into(float, this.#rows.x)
      this.#filled += rows
      start += rows
      if (this.#filled === this.#capacity) this.#sum(encoder)
    }
    if (ends) this.#end(encoder)
    await this.#submit(encoder)
  }

  /** Ends the open segment; one without rows adds nothing. */
  async finish(): Promise<void> {
    const encoder = this.#device.createCommandEncoder()
    this.#end(encoder)
    await this.#submit(encoder)
  }

  async read(): Promise<Sum> {
    const bytes = 4 * this.#length
    const usage = USAGE.MAP_READ | USAGE.COPY_DST
    const copy = this.#device.createBuffer({ size: bytes, usage })
    try {
      const encoder = this.#device.createCommandEncoder()
      encoder.copyBufferToBuffer(this.#total, 0, copy, 0, bytes)
      this.#device.queue.submit([encoder.finish()])
      await copy.mapAsync(READ)
      return { values: new Float32Array(copy.getMappedRange().slice(0)), means: new Float64Array(0) }
    } finally {
      copy.destroy()
    }
  }

  clear(): void {
    const encoder = this.#device.createCommandEncoder()
    encoder.clearBuffer(this.#total)
    this.#device.queue.submit([encoder.finish()])
  }

  /** Frees all buffers. */
  close(): void {
    this.#free()
    for (const buffer of new Set([this.#rows.x, this.#rows.xq, this.#segment, this.#total])) buffer.destroy()
  }

  /** C += BᵀA of the gathered rows. */
  #sum(encoder: GPUCommandEncoder): void {
    const { inputs, groups, streamsEqual, wholeG } = this.#shape
    const [rows, panels, side] = [this.#filled, panelsOf(inputs), Math.ceil(inputs / TILE)]
    const into = (a: GPUBuffer, offset: number, triangular: boolean): void => {
      const p = [rows, inputs, inputs * groups, panels, offset, triangular ? 1 : 0]
      this.#dispatch(encoder, 'gram', p, [a, this.#rows.xq, this.#segment], [side, side, groups])
    }
    if (rows === 0) return
    into(this.#rows.xq, 0, true)
    if (!streamsEqual) into(this.#rows.x, this.#g, !wholeG)
    this.#filled = 0
  }

  #end(encoder: GPUCommandEncoder): void {
    this.#sum(encoder)
    this.#run(encoder, 'move', [this.#length], [this.#segment, this.#total], this.#length)
  }

  /** The tensor on the GPU, zero-padded where patches reach outside of it. */
  #padded(encoder: GPUCommandEncoder, values: Float32Array, gather: SampleBatch['gather']): GPUBuffer {
    const from = this.#upload(values)
    if (gather.padding === null) return from
    const { height, width, paddedHeight, paddedWidth, top, left } = gather.padding
    const to = this.#passing[this.#passing.push(this.#buffer(paddedBytes(gather))) - 1]!
    const count = paddedBytes(gather) / 4
    this.#run(encoder, 'pad', [count, height, width, paddedHeight, paddedWidth, top, left], [from, to], count)
    return to
  }

  #upload(values: Float32Array | Uint32Array): GPUBuffer {
    const buffer = this.#buffer(values.byteLength)
    this.#passing.push(buffer)
    this.#device.queue.writeBuffer(buffer, 0, values)
    return buffer
  }

  #buffer(bytes: number): GPUBuffer {
    const usage = USAGE.STORAGE | USAGE.COPY_SRC | USAGE.COPY_DST
    return this.#device.createBuffer({ size: Math.max(4, bytes), usage })
  }

  /** A kernel over so many elements. */
  #run(
    encoder: GPUCommandEncoder,
    name: Name,
    p: readonly number[],
    buffers: readonly GPUBuffer[],
    count: number,
  ) {
    this.#dispatch(encoder, name, p, buffers, [Math.min(65_535, Math.ceil(count / THREADS)), 1, 1])
  }

  #dispatch(
    encoder: GPUCommandEncoder,
    name: Name,
    p: readonly number[],
    buffers: readonly GPUBuffer[],
    [x, y, z]: readonly [number, number, number],
  ): void {
    const uniform = this.#device.createBuffer({
      size: 32,
      usage: USAGE.UNIFORM,
      mappedAtCreation: true,
    })
    new Uint32Array(uniform.getMappedRange()).set(p)
    uniform.unmap()
    this.#passing.push(uniform)
    const pipeline = this.#pipelines[name]
    const pass = encoder.beginComputePass()
    pass.setPipeline(pipeline)
    const entries = [uniform, ...buffers].map((buffer, binding) => ({ binding, resource: { buffer } }))
    pass.setBindGroup(0, this.#device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }))
    pass.dispatchWorkgroups(x, y, z)
    pass.end()
  }

  async #submit(encoder: GPUCommandEncoder): Promise<void> {
    this.#device.queue.submit([encoder.finish()])
    await this.#device.queue.onSubmittedWorkDone()
    this.#free()
  }

  #free(): void {
    for (const buffer of this.#passing) buffer.destroy()
    this.#passing = []
  }
}
