/** Every other setting of the library, folded away: scales, the method's options, layers, storage. */
import type { Format } from 'gpfq/onnx'
import type { PageSettings } from '../job/protocol.ts'
import { canHaveIntegers, entryOf, levelsForText, levelsOf } from '../pageSettings.ts'
import type { SectionProps } from './App.tsx'
import { CheckField, NumberField, SelectField, WordsField } from './fields.tsx'
import { MethodFields } from './MethodFields.tsx'
import { ScaleFields } from './ScaleFields.tsx'

const FORMATS: readonly (readonly [Format | 'auto', string])[] = [
  ['auto', 'the smallest that runs at full speed'],
  ['packed', 'packed: smallest file, unpacked once at load'],
  ['qdq', 'qdq: standard DequantizeLinear'],
  ['nbits', 'nbits: MatMulNBits, fast on native CPUs'],
  ['float', 'float: quantized values as float32, nothing saved'],
]

/** The settings, and the function that changes some of them. */
export interface FieldsProps {
  readonly settings: PageSettings
  readonly set: (change: Partial<PageSettings>) => void
}

export function AdvancedSettings({ session, state }: SectionProps) {
  const { settings, compare, threaded, hasGpu } = state
  const set: FieldsProps['set'] = (change) => void session.changeSettings(change)
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
          onChange={(levels) => set({ levels, targetPercent: null })}
        />
        {!entryOf(settings).ownScales && <ScaleFields settings={settings} set={set} />}
        <MethodFields settings={settings} set={set} />
        <StorageFields settings={settings} set={set} />
        <LayerFields settings={settings} set={set} />
        {threaded && (
          <NumberField
            label="Threads"
            value={settings.threads}
            least={1}
            most={64}
            whole
            onChange={(threads) => threads !== null && set({ threads })}
          />
        )}
      </div>
      <div class="checks">
        <CheckField
          label={`Run networks on the GPU${hasGpu ? '' : ' (this browser gives none)'}`}
          checked={settings.gpu}
          disabled={!hasGpu}
          onChange={(gpu) => set({ gpu })}
        />
        <CheckField
          label="Fold BatchNormalization into the weights before it"
          checked={settings.foldBatchNorm}
          onChange={(foldBatchNorm) => set({ foldBatchNorm })}
        />
        {canHaveIntegers(settings) && (
          <CheckField
            label="Quantize activations to 8 bits too: layers run on integers where that is faster"
            checked={settings.integers}
            onChange={(integers) => set({ integers })}
          />
        )}
        <CheckField
          label="Correct biases by the mean error of each layer"
          checked={settings.biasCorrection}
          onChange={(biasCorrection) => set({ biasCorrection })}
        />
        <CheckField
          label="Round as well, to compare (takes longer)"
          checked={compare}
          onChange={(wanted) => session.changeCompare(wanted)}
        />
      </div>
    </details>
  )
}

function StorageFields({ settings, set }: FieldsProps) {
  return (
    <>
      <SelectField
        label="Stored as"
        value={settings.format}
        options={FORMATS}
        onChange={(format) => set({ format })}
      />
      <NumberField
        label="Patches per convolution, 0 for all"
        value={settings.patches}
        least={0}
        whole
        onChange={(patches) => patches !== null && set({ patches })}
      />
    </>
  )
}

/** Layers by name; other bits as on the command line, conv1*=8. */
function LayerFields({ settings, set }: FieldsProps) {
  return (
    <>
      <WordsField
        label="Other bits for layers named"
        value={levelsForText(settings.levelsFor)}
        placeholder="none; conv1*=8 for a pattern"
        check={(word) => (/^.+=[2-8]$/.test(word) ? null : 'NAME=BITS with 2 to 8 bits, please.')}
        onChange={(words) =>
          set({
            levelsFor: words.map((word) => ({
              pattern: word.slice(0, -2),
              levels: 2 ** Number(word.slice(-1)) - 1,
            })),
          })
        }
      />
      <WordsField
        label="Only layers named"
        value={settings.include}
        placeholder="all; conv* for a pattern"
        onChange={(include) => set({ include })}
      />
      <WordsField
        label="Leave out layers named"
        value={settings.exclude}
        placeholder="none"
        onChange={(exclude) => set({ exclude })}
      />
    </>
  )
}
