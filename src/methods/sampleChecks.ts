/** Errors of samples, named after the layer that they belong to. */
import { atPlace, GpfqError, invalidData } from '../errors.js'
import { shiftsOf, tapsOf } from './convolution.js'
import { channelLayout, type ObservationShape, type Observations, sumLayout } from './observations.js'
import { diagonalOf, matrixFloats } from './panelMatrix.js'

/** An error of code that knows nothing of layers, at the place of the samples; any other error as it is. */
export const atSamples = (error: unknown, place: string): unknown =>
  error instanceof GpfqError &&
  ['OUT_OF_MEMORY', 'INVALID_DATA'].includes(error.code) &&
  !error.place.startsWith(place)
    ? atPlace(error, `${place}: ${error.place}`)
    : error

/** Takes memory. @throws GpfqError OUT_OF_MEMORY at the place of the samples */
export function named<T>(place: string, act: () => T): T {
  try {
    return act()
  } catch (error) {
    throw atSamples(error, place)
  }
}

/** The error of samples that are not finite, which their sums of squares show. */
export const notFinite = (place: string): GpfqError =>
  invalidData(
    place,
    'finite inputs',
    'NaN or infinite ones (or squares beyond float32)',
    'check the calibration data',
  )

/** The error of too many samples for the vertex walk. */
export const tooManyRows = (place: string, rows: number, inputs: number): GpfqError =>
  invalidData(
    place,
    `fewer samples than inputs (${inputs}) for preprocess`,
    rows,
    'use fewer samples or patches, or another method',
  )

/**
 * Whether the samples that were summed are finite: a sum of squares is not where one of them is not.
 * @throws GpfqError INVALID_DATA
 */
export function checkFinite({ shape, sums }: Observations, place: string): void {
  const finite = sums.every(({ values }) =>
    (shape.kind === 'rows' ? [values] : diagonalsOf(shape, values)).every((own) =>
      own.every(Number.isFinite),
    ),
  )
  if (!finite) throw notFinite(place)
}

/** Diagonals of H and G; of a convolution those of the channels over all pixels, without a shift. */
function diagonalsOf(shape: ObservationShape, values: Float32Array): readonly Float32Array[] {
  const { groups, inputs, streamsEqual, wholeG, convolution } = shape
  const { h, g, pixelH, pixelG } = sumLayout(shape)
  if (convolution === null) {
    const own = (triangular: boolean, at: number): Float32Array =>
      diagonalOf({ groups, inputs, triangular }, values.subarray(at))
    return streamsEqual ? [own(true, h)] : [own(true, h), own(!wholeG, g)]
  }
  const channels = channelLayout(shape, convolution)
  const middle = (shiftsOf(convolution) >> 1) * matrixFloats(channels)
  const own = (at: number): Float32Array => diagonalOf(channels, values.subarray(at))
  return streamsEqual ? [own(pixelH)] : [own(pixelH), own(pixelG + middle)]
}

/**
 * ‖Xq_t‖² of every input, (groups, inputs); of a convolution without patches those of the input's channel.
 */
export function inputNorms(observations: Observations): Float32Array {
  const { shape } = observations
  const [own] = diagonalsOf(shape, observations.total().values)
  if (shape.convolution === null) return own!
  const taps = tapsOf(shape.convolution)
  return Float32Array.from({ length: own!.length * taps }, (_, i) => own![Math.floor(i / taps)]!)
}
