/** The scales: which weights share one, and the rule for the largest value. */
import type { Radius } from 'gpfq/onnx'
import type { FieldsProps } from './AdvancedSettings.tsx'
import { NumberField, SelectField } from './fields.tsx'

const SCOPES = [
  ['neuron', 'neuron (output channel)'],
  ['layer', 'layer'],
  ['group', 'group of inputs'],
] as const

const RULES: readonly (readonly [Radius['rule'], string])[] = [
  ['search', 'least output error'],
  ['mse', 'least weight error'],
  ['max', 'largest weight'],
  ['median', 'factor × median weight'],
  ['mean-max', 'factor × mean of largest weights'],
  ['value', 'a fixed number'],
]

export function ScaleFields({ settings: { scalePer, radius }, set }: FieldsProps) {
  return (
    <>
      <SelectField
        label="One scale per"
        value={typeof scalePer === 'string' ? scalePer : 'group'}
        options={SCOPES}
        onChange={(scope) => set({ scalePer: scope === 'group' ? { group: 32 } : scope })}
      />
      {typeof scalePer === 'object' && (
        <NumberField
          label="Inputs in a group"
          value={scalePer.group}
          least={1}
          whole
          onChange={(group) => group !== null && set({ scalePer: { group } })}
        />
      )}
      <SelectField
        label="Largest value by"
        value={radius.rule}
        options={RULES}
        onChange={(rule) => set({ radius: radiusOf(rule) })}
      />
      {'factor' in radius && (
        <NumberField
          label="Factor"
          value={radius.factor}
          onChange={(factor) => factor !== null && set({ radius: { ...radius, factor } })}
        />
      )}
      {'value' in radius && (
        <NumberField
          label="Value"
          value={radius.value}
          onChange={(value) => value !== null && set({ radius: { rule: 'value', value } })}
        />
      )}
    </>
  )
}

/** A rule with a number to start from. */
function radiusOf(rule: Radius['rule']): Radius {
  if (rule === 'median') return { rule, factor: 3 }
  if (rule === 'mean-max') return { rule, factor: 1 }
  return rule === 'value' ? { rule, value: 1 } : { rule }
}
