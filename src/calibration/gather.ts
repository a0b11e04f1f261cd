/**
 * From a layer's sampling rule and the dims of its input tensor to a gather: which bytes of the tensor make up each
 * sample row. Convolutions contribute at most `patches` rows in all, spread evenly: of each of B images
 * P = min(L, ⌊patches/B⌋) of its L output positions, image b taking (b mod s) + s·k for k < P with s = ⌊L/P⌋. Shapes
 * alone decide, so the same data always gives the same rows.
 */
import { GpfqError } from '../errors.js'
import type { Gather, Padding } from '../methods/samples.js'
import type { Sampling } from '../onnx/layer.js'
import { resolvePads } from '../onnx/patches.js'

export interface GatherRequest {
  readonly place: string // for messages: the layer
  readonly sampling: Sampling
  readonly dims: readonly number[]
  readonly inputs: number // per group
  readonly groups: number
  /** Number of the batch's first image and of all images, for the rule above. */
  readonly firstImage: number
  readonly images: number
  /** Most rows of one convolution, 0 for all. */
  readonly patches: number
}

export function gatherFor(request: GatherRequest): Gather {
  switch (request.sampling.kind) {
    case 'rows':
      return gatherRows(request)
    case 'columns':
      return gatherColumns(request)
    case 'patches':
      return gatherPatches(request, request.sampling)
  }
}

/** (..., inputs) */
function gatherRows({ place, dims, inputs }: GatherRequest): Gather {
  if (dims.at(-1) !== inputs) throw mismatch(place, `(…, ${inputs})`, dims)
  const rows = dims.slice(0, -1).reduce((product, dim) => product * dim, 1)
  return dense(rows, inputs, (row) => row * inputs, 1)
}

/** (..., inputs, samples) */
function gatherColumns({ place, dims, inputs }: GatherRequest): Gather {
  const samples = dims.at(-1)
  if (dims.length < 2 || samples === undefined || dims.at(-2) !== inputs) {
    throw mismatch(place, `(…, ${inputs}, samples)`, dims)
  }
  const matrices = dims.slice(0, -2).reduce((product, dim) => product * dim, 1)
  const at = (row: number): number => Math.floor(row / samples) * inputs * samples + (row % samples)
  return dense(matrices * samples, inputs, at, samples)
}

/** Element (row, input) at rowAt(row) + input·step floats. */
function dense(rows: number, inputs: number, rowAt: (row: number) => number, step: number): Gather {
  return {
    rows,
    inputs,
    groups: 1,
    groupBytes: 0,
    rowAt: Uint32Array.from({ length: rows }, (_, row) => 4 * rowAt(row)),
    columnAt: Uint32Array.from({ length: inputs }, (_, t) => 4 * t * step),
    contiguous: step === 1,
    padding: null,
  }
}

/** (batch, channels, height, width) or (batch, channels, length) */
function gatherPatches(request: GatherRequest, sampling: Extract<Sampling, { kind: 'patches' }>): Gather {
  const { place, dims, groups, inputs } = request
  const [kernelHeight, kernelWidth] = sampling.kernel
  const channels = (inputs / (kernelHeight * kernelWidth)) * groups
  const [batch, found, ...spatial] = dims
  const height = spatial.length === 1 ? 1 : spatial[0]
  const width = spatial.at(-1)
  if (
    batch === undefined ||
    found !== channels ||
    height === undefined ||
    width === undefined ||
    spatial.length > 2
  ) {
    throw mismatch(place, `(batch, ${channels}, height, width)`, dims)
  }
  const { pads, outHeight, outWidth } = resolvePads(sampling, height, width)
  const [top, left, bottom, right] = pads
  const paddedHeight = height + top + bottom
  const paddedWidth = width + left + right
  const plane = paddedHeight * paddedWidth
  const padded = top + left + bottom + right > 0
  const padding: Padding | null = padded
    ? { planes: batch * channels, height, width, paddedHeight, paddedWidth, top, left }
    : null

  const positions = outHeight * outWidth
  const perImage = patchesPerImage(positions, request.images, request.patches)
  const stride = Math.floor(positions / perImage)
  const rowAt = new Uint32Array(batch * perImage)
  for (let b = 0; b < batch; b++) {
    const phase = (request.firstImage + b) % stride
    for (let k = 0; k < perImage; k++) {
      const position = phase + stride * k
      const y = Math.floor(position / outWidth) * sampling.strides[0]
      const x = (position % outWidth) * sampling.strides[1]
      rowAt[b * perImage + k] = 4 * (b * channels * plane + y * paddedWidth + x)
    }
  }
  const taps = kernelHeight * kernelWidth
  const columnAt = Uint32Array.from({ length: inputs }, (_, t) => {
    const y = Math.floor((t % taps) / kernelWidth) * sampling.dilations[0]
    const x = (t % kernelWidth) * sampling.dilations[1]
    return 4 * (Math.floor(t / taps) * plane + y * paddedWidth + x)
  })
  const groupBytes = 4 * (channels / groups) * plane
  return { rows: rowAt.length, inputs, groups, groupBytes, rowAt, columnAt, contiguous: false, padding }
}

/** P of the rule above. */
export function patchesPerImage(positions: number, images: number, patches: number): number {
  return patches === 0 ? positions : Math.max(1, Math.min(positions, Math.floor(patches / images)))
}

function mismatch(place: string, expected: string, dims: readonly number[]): GpfqError {
  return new GpfqError(
    'INVALID_MODEL',
    `${place}: expected an input of shape ${expected}, got (${dims.join(', ')}); the model and its data do not fit`,
  )
}
