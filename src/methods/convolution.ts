/** The geometry of a convolution as far as sums over its patches need it, and how a file names it. */
import { GpfqError } from '../errors.js'
import type { ContainerReader } from './container.js'
import type { Convolution } from './samples.js'

export type { Convolution } from './samples.js'

export const tapsOf = ({ kernel }: Pick<Convolution, 'kernel'>): number => kernel[0] * kernel[1]

export const imagesOf = ({ out }: Pick<Convolution, 'out'>, rows: number): number => rows / (out[0] * out[1])

/** Differences of two taps. */
export const shiftsOf = ({ kernel }: Pick<Convolution, 'kernel'>): number =>
  (2 * kernel[0] - 1) * (2 * kernel[1] - 1)

/** Names of the pairs of numbers that describe a convolution in the header of a container, each with its least value. */
const PAIRS = { kernel: 1, dilations: 1, size: 1, pads: 0, out: 1 } as const

/** Sizes that a file may name. */
const MOST_SIZE = 2 ** 24

/** A convolution in the header of a container, or none. */
export const convolutionNumbers = (convolution: Convolution | null): readonly (number | boolean)[] =>
  convolution === null
    ? [false]
    : [
        true,
        ...convolution.kernel,
        ...convolution.dilations,
        ...convolution.size,
        ...convolution.pads,
        ...convolution.out,
      ]

/** @throws GpfqError INVALID_DATA for sizes out of range, and taps that do not divide the inputs */
export function readConvolution(reader: ContainerReader, inputs: number): Convolution | null {
  if (!reader.flag('convolution')) return null
  const pair = (name: keyof typeof PAIRS): readonly [number, number] => [
    reader.whole(name, PAIRS[name], MOST_SIZE),
    reader.whole(name, PAIRS[name], MOST_SIZE),
  ]
  const convolution: Convolution = {
    kernel: pair('kernel'),
    dilations: pair('dilations'),
    size: pair('size'),
    pads: pair('pads'),
    out: pair('out'),
  }
  if (inputs % tapsOf(convolution) === 0) return convolution
  throw new GpfqError('INVALID_DATA', {
    place: 'convolution',
    expected: `a kernel whose taps divide ${inputs} inputs`,
    got: convolution.kernel.join(' × '),
  })
}
