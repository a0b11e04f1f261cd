/**
 * Computes a gather from a layer's sampling rule and the dims of its input tensor: which bytes of the tensor make up each
 * sample row. A convolution gives at most `patches` rows in all, but at least one for each image, spread evenly: each of B
 * images gives P = max(1, min(L, ⌊patches/B⌋)) of its L output positions, and image b gives those at (b mod s) + s·k for
 * k < P with s = ⌊L/P⌋. The rule depends on shapes alone, so the same data always gives the same rows.
 *
 * With `random`, rows are drawn as in 2201.11113: of the L patches that tile an image without overlap (strides = kernel,
 * the layer's own pads and dilations) ⌊pL + 1⌋ are drawn with replacement; all L of them are taken for p = 1.
 */
import { GpfqError } from '../errors.js'
import { patchGather, patchGrid } from '../methods/patches.js'
import type { Convolution, Gather } from '../methods/samples.js'
import type { Sampling } from '../onnx/layer.js'
import { resolvePads } from '../onnx/pads.js'
import { drawAt } from '../random.js'

/** One batch of a layer’s input tensor, and how the layer samples it. */
export interface GatherRequest {
  readonly place: string // the layer, for messages
  readonly sampling: Sampling
  readonly dims: readonly number[]
  readonly inputs: number // per group
  readonly groups: number
  /** Index of the batch's first image among all images. */
  readonly firstImage: number
  /** Number of all images, B. */
  readonly images: number
  /** Most rows of one convolution, 0 for all. */
  readonly patches: number
  /** Draws patches at random instead. */
  readonly random?: RandomPatches | null
}

/** Random sampling of a convolution (2201.11113). */
export interface RandomPatches {
  /** Share p of the patches that do not overlap, above 0 and up to 1. */
  readonly share: number
  readonly seed: number
}

/**
 * The gather of one batch.
 * @throws GpfqError INVALID_MODEL where the dims do not fit the layer
 */
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

/** Of a tensor (..., inputs). */
function gatherRows({ place, dims, inputs }: GatherRequest): Gather {
  if (dims.at(-1) !== inputs) throw mismatch(place, `(…, ${inputs})`, dims)
  const rows = dims.slice(0, -1).reduce((product, dim) => product * dim, 1)
  return dense(rows, inputs, (row) => row * inputs, 1, dims.length > 1 ? (dims[0] ?? 1) : 1)
}

/** Of a tensor (..., inputs, samples). */
function gatherColumns({ place, dims, inputs }: GatherRequest): Gather {
  if (dims.length === 1 && dims[0] === inputs) return dense(1, inputs, () => 0, 1, 1) // a vector is one column
  const samples = dims.at(-1)
  if (dims.length < 2 || samples === undefined || dims.at(-2) !== inputs) {
    throw mismatch(place, `(…, ${inputs}, samples)`, dims)
  }
  const matrices = dims.slice(0, -2).reduce((product, dim) => product * dim, 1)
  const at = (row: number): number => Math.floor(row / samples) * inputs * samples + (row % samples)
  return dense(matrices * samples, inputs, at, samples, dims.length > 2 ? (dims[0] ?? 1) : 1)
}

/** A gather whose element (row, input) is at rowAt(row) + input·step floats. */
function dense(
  rows: number,
  inputs: number,
  rowAt: (row: number) => number,
  step: number,
  images: number,
): Gather {
  return {
    rows,
    inputs,
    groups: 1,
    groupBytes: 0,
    rowAt: Uint32Array.from({ length: rows }, (_, row) => 4 * rowAt(row)),
    columnAt: Uint32Array.from({ length: inputs }, (_, t) => 4 * t * step),
    contiguous: step === 1,
    padding: null,
    images,
  }
}

/** Of a tensor (batch, channels, height, width) or (batch, channels, length). */
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
  const geometry = { ...sampling, pads }
  const shape = { images: batch, channels, height, width, groups }
  const { padded, at } = patchGrid(geometry, shape)
  const random = request.random ?? null
  const rowAt =
    random === null
      ? evenRows(request, batch, outHeight * outWidth, (b, position) =>
          at(
            b,
            Math.floor(position / outWidth) * sampling.strides[0],
            (position % outWidth) * sampling.strides[1],
          ),
        )
      : randomRows(request, random, batch, sampling, padded, at)
  const everywhere =
    random === null &&
    rowAt.length === batch * outHeight * outWidth &&
    sampling.strides.every((stride) => stride === 1)
  const convolution: Convolution = {
    kernel: sampling.kernel,
    dilations: sampling.dilations,
    size: [height, width],
    pads: [pads[0], pads[1]],
    out: [outHeight, outWidth],
  }
  return patchGather(geometry, shape, rowAt, everywhere ? convolution : null)
}

/** Rows spread evenly, by the rule in the header. */
function evenRows(
  { images, patches, firstImage }: GatherRequest,
  batch: number,
  positions: number,
  at: (image: number, position: number) => number,
): Uint32Array {
  const perImage = patchesPerImage(positions, images, patches)
  const stride = Math.floor(positions / perImage)
  const rows = new Uint32Array(batch * perImage)
  for (let b = 0; b < batch; b++) {
    const phase = (firstImage + b) % stride
    for (let k = 0; k < perImage; k++) rows[b * perImage + k] = at(b, phase + stride * k)
  }
  return rows
}

/** Rows drawn from the patches that tile the padded image. The draws of an image depend on the seed and its index alone. */
function randomRows(
  { firstImage }: GatherRequest,
  { share, seed }: RandomPatches,
  batch: number,
  { kernel, dilations }: Extract<Sampling, { kind: 'patches' }>,
  padded: readonly [number, number],
  at: (image: number, y: number, x: number) => number,
): Uint32Array {
  const [down = 1, across = 1] = padded.map(
    (size, axis) => Math.floor((size - (kernel[axis]! - 1) * dilations[axis]! - 1) / kernel[axis]!) + 1,
  )
  const tiles = down * across
  const perImage = share === 1 ? tiles : Math.floor(share * tiles + 1)
  const rows = new Uint32Array(batch * perImage)
  for (let b = 0; b < batch; b++) {
    for (let k = 0; k < perImage; k++) {
      const tile = share === 1 ? k : Math.floor(tiles * drawAt(seed, firstImage + b, k))
      rows[b * perImage + k] = at(b, Math.floor(tile / across) * kernel[0], (tile % across) * kernel[1])
    }
  }
  return rows
}

/** P of the rule in the header: rows of each image. */
export function patchesPerImage(positions: number, images: number, patches: number): number {
  return patches === 0 ? positions : Math.max(1, Math.min(positions, Math.floor(patches / images)))
}

function mismatch(place: string, expected: string, dims: readonly number[]): GpfqError {
  return new GpfqError('INVALID_MODEL', {
    place,
    expected: `an input of shape ${expected}`,
    got: `(${dims.join(', ')})`,
    hint: 'the model and its data do not fit',
  })
}
