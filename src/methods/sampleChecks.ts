/** Errors of samples, named after the layer that they belong to. */
import { atPlace, GpfqError } from '../errors.js'
import { shiftsOf, tapsOf } from './convolution.js'
import { type ObservationShape, type Observations, sumLayout } from './observations.js'
import { diagonalOf, matrixFloats, type PanelLayout } from './panelMatrix.js'

/** Errors of code that knows nothing of layers, at the place of the samples. */
export function named<T>(place: string, act: () => T): T {
  try {
    return act()
  } catch (error) {
    throw error instanceof GpfqError && error.code === 'OUT_OF_MEMORY'
      ? atPlace(error, `${place}: ${error.place}`)
      : error
  }
}

/**
 * Whether the samples that were summed are finite: a sum of squares is not where one of them is not.
 * @throws GpfqError INVALID_DATA
 */
export function checkFinite(observations: Observations, place: string): void {
  const { shape, sums } = observations
  const finite = sums.every(({ values }) =>
    shape.kind === 'rows' ? values.every(Number.isFinite) : diagonalsOf(shape, values).every(isFiniteArray),
  )
  if (finite) return
  throw new GpfqError('INVALID_DATA', {
    place,
    expected: 'finite inputs',
    got: 'NaN or infinite ones (or squares beyond float32)',
    hint: 'check-data',
  })
}

const isFiniteArray = (values: Float32Array): boolean => values.every(Number.isFinite)

/** Diagonals of H and G; of a convolution those of the channels over all pixels, without a shift. */
function diagonalsOf(shape: ObservationShape, values: Float32Array): readonly Float32Array[] {
  const { groups, inputs, streamsEqual, wholeG, convolution } = shape
  const { h, g, pixelH, pixelG } = sumLayout(shape)
  if (convolution === null) {
    const own = diagonalOf({ groups, inputs, triangular: true }, values.subarray(h))
    return streamsEqual
      ? [own]
      : [own, diagonalOf({ groups, inputs, triangular: !wholeG }, values.subarray(g))]
  }
  const channels: PanelLayout = { groups, inputs: inputs / tapsOf(convolution), triangular: false }
  const middle = (shiftsOf(convolution) >> 1) * matrixFloats(channels)
  const own = diagonalOf(channels, values.subarray(pixelH))
  return streamsEqual ? [own] : [own, diagonalOf(channels, values.subarray(pixelG + middle))]
}
