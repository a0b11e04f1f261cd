/**
 * Tensors that models leave on the GPU for the models after them. What the kernels and reports read is downloaded; the copy on the
 * GPU stays beside it, and a later model that gets the same tensor reads that copy instead of an upload. Copies beyond the budget
 * are freed, the oldest first.
 */
import type * as Ort from 'onnxruntime-web'
import type { Tensor, TensorData } from '../tensor/tensor.js'
import { fromOrt, type Handing, type OrtModule, toOrt } from './ortSession.js'

/** Bytes of copies at most. A tab shares the memory of the GPU with all others. */
export const GPU_BYTES = 512 * 2 ** 20

export class GpuTensors implements Handing {
  readonly #ort: OrtModule
  readonly #budget: number
  /** By their elements in memory, which nothing changes. */
  readonly #copies = new Map<TensorData, Ort.Tensor>()
  #bytes = 0
  #reused = 0

  constructor(ort: OrtModule, budget = GPU_BYTES) {
    this.#ort = ort
    this.#budget = budget
  }

  /** How often a copy was read instead of an upload. */
  get reused(): number {
    return this.#reused
  }

  give(tensor: Tensor): Ort.Tensor {
    const copy = this.#copies.get(tensor.data)
    if (copy === undefined || !isSameShape(copy, tensor)) return toOrt(this.#ort, tensor)
    this.#reused++
    return copy
  }

  async take(name: string, value: Ort.OnnxValue): Promise<Tensor> {
    if (!(value instanceof this.#ort.Tensor) || value.location !== 'gpu-buffer') return fromOrt(name, value)
    const { type, dims, gpuBuffer } = value
    await value.getData() // after which the runtime takes the tensor for one in memory, and its buffer lives on
    const tensor = fromOrt(name, value)
    const dispose = (): void => value.dispose()
    if (type !== 'float32') dispose()
    else {
      this.#copies.set(
        tensor.data,
        this.#ort.Tensor.fromGpuBuffer(gpuBuffer, { dataType: type, dims, dispose }),
      )
      this.#bytes += tensor.data.byteLength
      this.#free(this.#budget)
    }
    return tensor
  }

  /** Frees all copies. */
  clear(): void {
    this.#free(0)
  }

  #free(budget: number): void {
    for (const [data, copy] of this.#copies) {
      if (this.#bytes <= budget) return
      this.#copies.delete(data)
      this.#bytes -= data.byteLength
      copy.dispose()
    }
  }
}

const isSameShape = (copy: Ort.Tensor, { type, dims }: Tensor): boolean =>
  copy.type === type && copy.dims.length === dims.length && copy.dims.every((dim, i) => dim === dims[i])
