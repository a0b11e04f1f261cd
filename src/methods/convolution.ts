/** The geometry of a convolution as far as sums over its patches need it, and how a file names it. */
import { GpfqError } from '../errors.js'
import { headerFields } from './container.js'
import type { Convolution } from './samples.js'

export type { Convolution } from './samples.js'

export const tapsOf = ({ kernel }: Pick<Convolution, 'kernel'>): number => kernel[0] * kernel[1]

export const imagesOf = ({ out }: Pick<Convolution, 'out'>, rows: number): number => rows / (out[0] * out[1])

/** Differences of two taps. */
export const shiftsOf = ({ kernel }: Pick<Convolution, 'kernel'>): number =>
  (2 * kernel[0] - 1) * (2 * kernel[1] - 1)

/** Sizes that a file may name. */
const MOST_SIZE = 2 ** 24

/**
 * A convolution out of a file's header, null for none.
 * @throws GpfqError INVALID_DATA
 */
export function convolutionFrom(place: string, value: unknown, inputs: number): Convolution | null {
  if (value === null) return null
  const record = typeof value === 'object' && value !== undefined ? { ...value } : {}
  const pair = (name: string, least: number): readonly [number, number] => {
    const pairOf: unknown = Reflect.get(record, name)
    const [first, second] = Array.isArray(pairOf) ? pairOf : []
    const fields = headerFields(`${place}, convolution's ${name}`, { first, second })
    return [fields.whole('first', least, MOST_SIZE), fields.whole('second', least, MOST_SIZE)]
  }
  const convolution: Convolution = {
    kernel: pair('kernel', 1),
    dilations: pair('dilations', 1),
    size: pair('size', 1),
    pads: pair('pads', 0),
    out: pair('out', 1),
  }
  if (inputs % tapsOf(convolution) === 0) return convolution
  throw new GpfqError('INVALID_DATA', {
    place: `${place}, convolution`,
    expected: `a kernel whose taps divide ${inputs} inputs`,
    got: convolution.kernel.join(' × '),
  })
}
