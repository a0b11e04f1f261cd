import { expect, it } from 'vitest'
import { formatDecibels } from '#src/cli/numbers.js'

it('formatDecibels calls a layer without any error exact', () => {
  expect([12.34, Number.POSITIVE_INFINITY, null].map(formatDecibels)).toEqual(['12.3 dB', 'exact', '–'])
})
