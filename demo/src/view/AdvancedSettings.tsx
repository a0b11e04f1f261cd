/** Everything else that the library lets one choose, for those who know what they want. */
import type { Radius } from 'gpfq/onnx'
import type { Settings } from '../job/protocol.ts'
import { levelsForText, levelsOf } from '../settings.ts'
import type { SectionProps } from './App.tsx'
import { NumberField, WordsField } from './fields.tsx'
import { FORMATS } from './SettingsSection.tsx'

type Rule = Radius['rule']

const RULES: readonly (readonly [Rule, string])[] = [
  ['search', 'least output error'],
  ['mse', 'least weight error'],
  ['max', 'largest weight'],
  ['median', 'factor × median weight'],
  ['mean-max', 'factor × mean of largest weights'],
  ['value', 'a fixed number'],
]

export function AdvancedSettings({ session, state }: SectionProps) {
  const { settings, compare, threaded } = state
  const { scalePer, radius } = settings
  const scope = typeof scalePer === 'string' ? scalePer : 'group'
  const set = session.changeSettings.bind(session)
  return (
    <details>
      <summary>More settings</summary>
      <div class="fields">
        <NumberField
          label="Exact number of values"
          value={settings.levels}
          placeholder={String(levelsOf(settings))}
          least={2}
          most={256}
          whole
          onChange={(levels) => void set({ levels })}
        />
        <label>
          One scale per
          <select
            value={scope}
            onChange={({ currentTarget: { value } }) =>
              void set({
                scalePer: value === 'group' ? { group: 32 } : value === 'layer' ? 'layer' : 'neuron',
              })
            }
          >
            <option value="neuron">neuron (output channel)</option>
            <option value="layer">layer</option>
            <option value="group">group of inputs</option>
          </select>
        </label>
        {typeof scalePer === 'object' && (
          <NumberField
            label="Inputs in a group"
            value={scalePer.group}
            least={1}
            whole
            onChange={(group) => group !== null && void set({ scalePer: { group } })}
          />
        )}
        <label>
          Largest value by
          <select
            value={radius.rule}
            onChange={({ currentTarget: { value } }) => void set({ radius: radiusOf(value) })}
          >
            {RULES.map(([rule, text]) => (
              <option key={rule} value={rule}>
                {text}
              </option>
            ))}
          </select>
        </label>
        {'factor' in radius && (
          <NumberField
            label="Factor"
            value={radius.factor}
            onChange={(factor) => factor !== null && void set({ radius: { ...radius, factor } })}
          />
        )}
        {'value' in radius && (
          <NumberField
            label="Value"
            value={radius.value}
            onChange={(value) => value !== null && void set({ radius: { rule: 'value', value } })}
          />
        )}
        <NumberField
          label="Passes of refinement afterwards"
          value={settings.passes}
          placeholder="0"
          least={0}
          most={1000}
          whole
          onChange={(passes) => void set({ passes: passes ?? 0 })}
        />
        {settings.method !== 'msq' && (
          <label>
            Order of inputs
            <select
              value={settings.actOrder === null ? '' : String(settings.actOrder)}
              onChange={({ currentTarget: { value } }) =>
                void set({ actOrder: value === '' ? null : value === 'true' })
              }
            >
              <option value="">as the method prefers</option>
              <option value="true">strongest first</option>
              <option value="false">as they come</option>
            </select>
          </label>
        )}
        {(settings.method === 'gptq' || settings.method === 'qronos') && (
          <NumberField
            label="Damping"
            value={settings.damping}
            placeholder="0.01"
            onChange={(damping) => void set({ damping })}
          />
        )}
        {settings.method === 'gpfq' && (
          <NumberField
            label="Share of zeros, at least"
            value={settings.zeros}
            placeholder="as many as come"
            most={0.99}
            onChange={(zeros) => void set({ zeros })}
          />
        )}
        <label>
          Stored as
          <select
            value={settings.format}
            onChange={({ currentTarget: { value } }) => {
              const format = FORMATS.find(([name]) => name === value)?.[0]
              if (format !== undefined) void set({ format })
            }}
          >
            {FORMATS.map(([format, text]) => (
              <option key={format} value={format}>
                {text}
              </option>
            ))}
          </select>
        </label>
        <NumberField
          label="Patches per convolution, 0 for all"
          value={settings.patches}
          least={0}
          whole
          onChange={(patches) => patches !== null && void set({ patches })}
        />
        <LevelsForField settings={settings} onChange={(levelsFor) => void set({ levelsFor })} />
        <WordsField
          label="Only layers named"
          value={settings.include}
          placeholder="all; conv* for a pattern"
          onChange={(include) => void set({ include })}
        />
        <WordsField
          label="Leave out layers named"
          value={settings.exclude}
          placeholder="none"
          onChange={(exclude) => void set({ exclude })}
        />
        {threaded && (
          <NumberField
            label="Threads"
            value={settings.threads}
            least={1}
            most={64}
            whole
            onChange={(threads) => threads !== null && void set({ threads })}
          />
        )}
      </div>
      <div class="checks">
        <Check
          label="Fold BatchNormalization into the weights before it"
          checked={settings.foldBatchNorm}
          onChange={(foldBatchNorm) => void set({ foldBatchNorm })}
        />
        <Check
          label="Correct biases by the mean error of each layer"
          checked={settings.biasCorrection}
          onChange={(biasCorrection) => void set({ biasCorrection })}
        />
        <Check
          label="Round as well, to compare (takes longer)"
          checked={compare}
          onChange={(wanted) => session.changeCompare(wanted)}
        />
      </div>
    </details>
  )
}

interface LevelsForProps {
  readonly settings: Settings
  readonly onChange: (levelsFor: Settings['levelsFor']) => void
}

/** Other bits for some layers, as the command line has it: conv1*=8. */
function LevelsForField({ settings, onChange }: LevelsForProps) {
  return (
    <WordsField
      label="Other bits for layers named"
      value={levelsForText(settings.levelsFor)}
      placeholder="none; conv1*=8 for a pattern"
      check={(word) => (/^.+=[2-8]$/.test(word) ? null : 'NAME=BITS with 2 to 8 bits, please.')}
      onChange={(words) =>
        onChange(
          words.map((word) => ({ pattern: word.slice(0, -2), levels: 2 ** Number(word.slice(-1)) - 1 })),
        )
      }
    />
  )
}

interface CheckProps {
  readonly label: string
  readonly checked: boolean
  readonly onChange: (checked: boolean) => void
}

function Check({ label, checked, onChange }: CheckProps) {
  return (
    <label>
      <input
        type="checkbox"
        checked={checked}
        onChange={({ currentTarget }) => onChange(currentTarget.checked)}
      />
      <span>{label}</span>
    </label>
  )
}

function radiusOf(rule: string): Radius {
  if (rule === 'median') return { rule, factor: 3 }
  if (rule === 'mean-max') return { rule, factor: 1 }
  if (rule === 'value') return { rule, value: 1 }
  return rule === 'mse' || rule === 'max' ? { rule } : { rule: 'search' }
}
