/** Defaults and checks of the options of activations. The default of ranges is the best of docs/INT8.md. */
import { checkName, rangeError, typeError } from '../checks.js'
import { methodEntry } from '../methods/methods.js'
import type { ActivationOptions, ActivationRanges, AnyPlanOptions, Kernel } from '../options.js'
import type { Settings } from './settings.js'

/** The rules of ranges. */
export const RANGE_RULES: readonly ActivationRanges['rule'][] = ['minmax', 'percentile', 'mse', 'search']

export const KERNELS: readonly Kernel[] = ['int8', 'float']

export function activationsOf({ activations }: AnyPlanOptions): Required<ActivationOptions> | null {
  if (activations === undefined) return null
  const { bits, ranges = { rule: 'minmax' }, byteInputs = false, for: kernels = [] } = activations
  return { bits, ranges, byteInputs, for: kernels }
}

/** @throws RangeError for values, TypeError for options that exclude each other */
export function checkActivations({ activations, method, scalePer }: Settings): void {
  if (activations === null) return
  const { bits, ranges } = activations
  if (bits !== 8) throw rangeError('activations: bits', '8', bits)
  checkName('activations: ranges', ranges.rule, RANGE_RULES)
  if (ranges.rule === 'percentile' && !(ranges.percentile > 50 && ranges.percentile <= 100)) {
    throw rangeError('activations: percentile', 'a number above 50 and up to 100', ranges.percentile)
  }
  for (const { pattern, kernel } of activations.for)
    checkName(`activations for '${pattern}'`, kernel, KERNELS)
  if (!methodEntry(method).codesOfWeights) {
    const got = `${method}, whose file holds float32 values`
    throw typeError({ place: 'activations', expected: 'a method of codes of weights', got })
  }
  if (typeof scalePer === 'object') {
    const expected = 'scales per layer or neuron: integer kernels have one scale for all inputs'
    throw typeError({ place: 'activations', expected, got: `groups of ${scalePer.group} inputs` })
  }
}
