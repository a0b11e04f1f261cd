import { expect, it } from 'vitest'
import { calibrationReason } from '#src/cli/calibration.js'
import { resolveSettings } from '#src/model/settings.js'

it('calibrationReason names what needs samples', () => {
  const msq = { method: 'msq', radius: { rule: 'max' } } as const
  const reason = (options: Parameters<typeof resolveSettings>[0]) =>
    calibrationReason(resolveSettings(options))
  expect(reason({ ...msq, biasCorrection: true })).toBe('--bias-correction needs them')
  expect(reason({ method: 'frame', biasCorrection: true })).toBe('--bias-correction needs them')
  expect(reason({ ...msq, passes: 1, targetBits: 3 })).toBe('--passes and --target-bits need them')
  expect(reason({ ...msq, targetSize: 0.2 })).toBe('--target-size needs them')
  expect(reason({ ...msq, preprocess: true })).toBe('--preprocess needs them')
  for (const options of [{}, { method: 'msq' }, { method: 'gptq', biasCorrection: true }] as const)
    expect(reason(options)).toBe(
      'only --method frame, and --method msq with a radius other than search, can do without',
    )
})
