/** The geometry of a convolution as far as sums over its patches need it, and how a file names it. */
import { invalidData } from '../errors.js'
import type { ContainerReader } from './container.js'
import type { Convolution } from './samples.js'

export type { Convolution } from './samples.js'

export const tapsOf = ({ kernel }: Pick<Convolution, 'kernel'>): number => kernel[0] * kernel[1]

export const imagesOf = ({ out }: Pick<Convolution, 'out'>, rows: number): number => rows / (out[0] * out[1])

/** Differences of two taps. */
export const shiftsOf = ({ kernel }: Pick<Convolution, 'kernel'>): number =>
  (2 * kernel[0] - 1) * (2 * kernel[1] - 1)

/** The pairs of numbers that describe a convolution in the header of a container. */
const PAIRS = ['kernel', 'dilations', 'size', 'pads', 'out'] as const

/** Sizes that a file may name. */
const MOST_SIZE = 2 ** 24

/** A convolution in the header of a container, or none. */
export const convolutionNumbers = (convolution: Convolution | null): readonly (number | boolean)[] =>
  convolution === null ? [false] : [true, ...PAIRS.flatMap((name) => convolution[name])]

/** @throws GpfqError INVALID_DATA for sizes out of range, and taps that do not divide the inputs */
export function readConvolution(reader: ContainerReader, inputs: number): Convolution | null {
  if (!reader.flag('convolution')) return null
  const number = (name: (typeof PAIRS)[number]): number =>
    reader.whole(name, name === 'pads' ? 0 : 1, MOST_SIZE)
  const pairs = PAIRS.map((name) => [name, [number(name), number(name)]])
  const convolution: Convolution = Object.fromEntries(pairs)
  if (inputs % tapsOf(convolution) === 0) return convolution
  throw invalidData(
    'convolution',
    `a kernel whose taps divide ${inputs} inputs`,
    convolution.kernel.join(' × '),
  )
}
