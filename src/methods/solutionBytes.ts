/** Solutions as bytes (container.ts), so that a layer can be solved on another machine. */
import { invalidData } from '../errors.js'
import { zeroPoint } from './alphabet.js'
import { type ContainerKind, openContainer, packContainer } from './container.js'
import type { LayerSolution } from './solution.js'

const KIND: ContainerKind = { letters: 'SOLN', version: 1, name: "a layer's solution" }

/** Most groups, inputs and neurons that a file may name. */
const MOST = 2 ** 31

/**
 * A solution as bytes.
 * @example
 * await writeFile('conv1.solution', solutionBytes(solution))
 */
export function solutionBytes(solution: LayerSolution): Uint8Array<ArrayBuffer> {
  const { codes, scales, values, groups, inputs, neurons, levels, blockSize, relativeError } = solution
  return packContainer(
    KIND,
    [
      groups,
      inputs,
      neurons,
      levels,
      blockSize,
      codes.length,
      values !== undefined,
      relativeError !== undefined,
    ],
    [codes, scales, values ?? new Float32Array(0), Float64Array.of(relativeError ?? 0)],
  )
}

/**
 * A solution from bytes.
 * @param place for messages: the file
 * @throws GpfqError INVALID_DATA for bytes that are no solution, of another version, truncated or damaged
 * @example
 * const solution = solutionFrom(await readFile('conv1.solution'))
 */
export function solutionFrom(bytes: Uint8Array, place = 'solution'): LayerSolution {
  const reader = openContainer(place, KIND, bytes)
  const [groups, inputs, neurons] = [
    reader.whole('groups', 1, MOST),
    reader.whole('inputs', 1, MOST),
    reader.whole('neurons', 1, MOST),
  ]
  const levels = reader.whole('levels', 2, 256)
  const blockSize = reader.whole('blockSize', 1, MOST)
  const count = groups * inputs * neurons
  const codeCount = reader.whole('codes', count, 2 ** 53 - 1)
  const hasValues = reader.flag('values')
  const hasError = reader.flag('relativeError')
  const codes = reader.bytes(codeCount)
  const scales = reader.floats(groups * Math.ceil(inputs / blockSize) * neurons)
  const values = reader.floats(hasValues ? count : 0)
  const [relativeError = 0] = reader.doubles(1)
  reader.end()
  if (codes.some((code) => code >= levels)) {
    throw invalidData(place, `codes below ${levels}`, 'larger ones')
  }
  return {
    ...{ groups, inputs, neurons, levels, blockSize, zero: zeroPoint(levels), codes, scales },
    ...(hasValues && { values }),
    ...(hasError && { relativeError }),
  }
}
