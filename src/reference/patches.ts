/**
 * The patches of a convolution, computed directly: for every image and output position the receptive field in the order
 * (c, kh, kw), with zeros outside the image. Twin of the gather of src/calibration/gather.ts and assembly/pack.ts.
 */
export interface PatchGeometry {
  readonly batch: number
  readonly channels: number
  readonly height: number
  readonly width: number
  readonly kernel: readonly [number, number]
  readonly strides: readonly [number, number]
  readonly dilations: readonly [number, number]
  readonly pads: readonly [number, number, number, number] // top, left, bottom, right
  readonly groups: number
}

export interface Patches {
  readonly rows: number
  readonly inputs: number
  /** One matrix (rows, inputs) for each group. Rows run over images, then output rows, then output columns. */
  readonly groups: readonly Float32Array[]
}

/** @param x (batch, channels, height, width) */
export function patches(x: ArrayLike<number>, geometry: PatchGeometry): Patches {
  const { batch, channels, height, width, kernel, strides, dilations, pads, groups } = geometry
  const out = [0, 1].map((axis) => {
    const size = axis === 0 ? height : width
    const extent = (kernel[axis]! - 1) * dilations[axis]! + 1
    return Math.floor((size + pads[axis]! + pads[axis + 2]! - extent) / strides[axis]!) + 1
  })
  const [outHeight = 0, outWidth = 0] = out
  const rows = batch * outHeight * outWidth
  const perGroup = channels / groups
  const inputs = perGroup * kernel[0] * kernel[1]
  const matrices = Array.from({ length: groups }, () => new Float32Array(rows * inputs))
  for (let row = 0; row < rows; row++) {
    const b = Math.floor(row / (outHeight * outWidth))
    const top = (Math.floor(row / outWidth) % outHeight) * strides[0] - pads[0]
    const left = (row % outWidth) * strides[1] - pads[1]
    for (let c = 0; c < channels; c++) {
      for (let i = 0; i < kernel[0]; i++) {
        for (let j = 0; j < kernel[1]; j++) {
          const y = top + i * dilations[0]
          const z = left + j * dilations[1]
          const inside = y >= 0 && y < height && z >= 0 && z < width
          const column = ((c % perGroup) * kernel[0] + i) * kernel[1] + j
          const value = inside ? x[((b * channels + c) * height + y) * width + z]! : 0
          matrices[Math.floor(c / perGroup)]![row * inputs + column] = value
        }
      }
    }
  }
  return { rows, inputs, groups: matrices }
}
