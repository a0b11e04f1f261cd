/** The options of the chosen method, by the library's table of methods. */
import { entryOf, usualPasses } from '../pageSettings.ts'
import type { FieldsProps } from './AdvancedSettings.tsx'
import { NumberField, SelectField } from './fields.tsx'

const ORDERS = [
  ['', 'as the method prefers'],
  ['true', 'strongest first'],
  ['false', 'as they come'],
] as const

export function MethodFields({ settings, set }: FieldsProps) {
  const { options } = entryOf(settings)
  return (
    <>
      {'passes' in options && (
        <NumberField
          label="Passes of refinement afterwards"
          value={settings.passes}
          placeholder={String(usualPasses(settings))}
          least={0}
          most={1000}
          whole
          onChange={(passes) => set({ passes })}
        />
      )}
      {'actOrder' in options && (
        <SelectField
          label="Order of inputs"
          value={settings.actOrder === null ? '' : settings.actOrder ? 'true' : 'false'}
          options={ORDERS}
          onChange={(order) => set({ actOrder: order === '' ? null : order === 'true' })}
        />
      )}
      {'damping' in options && (
        <NumberField
          label="Damping"
          value={settings.damping}
          placeholder={String(options.damping)}
          onChange={(damping) => set({ damping })}
        />
      )}
      {'sparsity' in options && (
        <NumberField
          label="Share of zeros, at least"
          value={settings.zeros}
          placeholder="as many as come"
          most={0.99}
          onChange={(zeros) => set({ zeros })}
        />
      )}
    </>
  )
}
