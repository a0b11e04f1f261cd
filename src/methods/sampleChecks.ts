/** Errors of samples, named after the layer that they belong to. */
import { atPlace, GpfqError } from '../errors.js'
import { type Observations, sumLayout } from './observations.js'
import { diagonalOf } from './panelMatrix.js'

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
  const { groups, inputs, convolution } = shape
  const { pixelH, h, g } = sumLayout(shape)
  const diagonal = (values: Float32Array, triangular: boolean): Float32Array =>
    diagonalOf({ groups, inputs, triangular }, values)
  const finite = sums.every(({ values }) =>
    convolution !== null
      ? values.subarray(pixelH).every(Number.isFinite)
      : shape.kind === 'rows'
        ? values.every(Number.isFinite)
        : diagonal(values.subarray(h), true).every(Number.isFinite) &&
          (shape.streamsEqual || diagonal(values.subarray(g), !shape.wholeG).every(Number.isFinite)),
  )
  if (finite) return
  throw new GpfqError('INVALID_DATA', {
    place,
    expected: 'finite inputs',
    got: 'NaN or infinite ones (or squares beyond float32)',
    hint: 'check-data',
  })
}
