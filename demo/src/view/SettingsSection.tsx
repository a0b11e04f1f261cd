/** The size and the method, with the size of the file that results. Other settings are folded away. */
import { BEST_WORDS, METHOD_WORDS, type MethodWords, methodOf } from 'gpfq/onnx'
import { formatBytes, timesSmaller } from 'gpfq/report'
import type { PageSettings } from '../job/protocol.ts'
import { levelsOf, methodChoice, PAGE_METHODS } from '../pageSettings.ts'
import { AdvancedSettings } from './AdvancedSettings.tsx'
import type { SectionProps } from './App.tsx'
import { NumberField } from './fields.tsx'

const BITS = [2, 3, 4, 5, 6, 7, 8] as const

interface Choice extends Pick<MethodWords, 'title' | 'what'> {
  readonly method: PageSettings['method']
}

/** The preset and the methods, in the words of the library's table. */
const METHODS: readonly Choice[] = [
  { method: 'best', ...BEST_WORDS },
  ...PAGE_METHODS.map((method) => ({ method, ...METHOD_WORDS[method] })),
]

export function SettingsSection({ session, state }: SectionProps) {
  return (
    <section aria-labelledby="settings">
      <h2 id="settings">How small?</h2>
      <SizeFields session={session} state={state} />
      <Size state={state} />
      <MethodFieldset session={session} state={state} />
      <AdvancedSettings session={session} state={state} />
    </section>
  )
}

function SizeFields({ session, state: { settings } }: SectionProps) {
  const { levels, targetPercent } = settings
  const same = levels === null && targetPercent === null
  return (
    <>
      <fieldset class="bits">
        <legend>Bits per weight</legend>
        <div class="segments">
          {BITS.map((bits) => (
            <label key={bits}>
              <input
                type="radio"
                name="bits"
                value={bits}
                checked={same && settings.bits === bits}
                onChange={() => void session.changeSettings({ bits, levels: null, targetPercent: null })}
              />
              <span>{bits}</span>
            </label>
          ))}
        </div>
        <p class="quiet">{targetPercent === null ? bitsAdvice(levelsOf(settings)) : TARGET_ADVICE}</p>
      </fieldset>
      <div class="fields">
        <NumberField
          label="Or a size in % of the weights"
          value={targetPercent}
          placeholder="same bits for all layers"
          most={100}
          onChange={(percent) => void session.changeSettings({ targetPercent: percent, levels: null })}
        />
      </div>
    </>
  )
}

const TARGET_ADVICE = '2 to 8 bits for each layer, chosen in the run by what the layer loses.'

function MethodFieldset({ session, state: { settings } }: SectionProps) {
  const { paper } = METHOD_WORDS[methodOf(methodChoice(settings))]
  return (
    <fieldset class="methods">
      <legend>Method</legend>
      {METHODS.map(({ method, title, what }) => (
        <label key={method}>
          <input
            type="radio"
            name="method"
            value={method}
            checked={settings.method === method}
            onChange={() => void session.changeSettings({ method })}
          />
          <span>
            {title} <span class="quiet">{what}</span>
          </span>
        </label>
      ))}
      {paper !== null && (
        <p class="quiet">
          Paper:{' '}
          <a href={`https://arxiv.org/abs/${paper.arXiv}`} rel="noreferrer">
            {paper.title}
          </a>
        </p>
      )}
    </fieldset>
  )
}

function bitsAdvice(levels: number): string {
  const values = `${levels} values per weight`
  if (levels <= 3) return `${values}. As small as it gets; expect some loss.`
  if (levels <= 7) return `${values}. Often close to the original.`
  if (levels <= 15) return `${values}. A good place to start: usually as good as the original.`
  return `${values}. Next to no loss.`
}

/**
 * The size of the file by the plan, which is known before anything runs. With a target it is the most that the layers may
 * take. The plan's notes name weights of which a float copy stays.
 */
function Size({ state: { model, plan } }: Pick<SectionProps, 'state'>) {
  const before = model.summary?.bytes ?? 0
  if (plan === null) return <p class="size" aria-live="polite" />
  const { targetSize } = plan.settings
  const taken = plan.layers.reduce((sum, layer) => sum + layer.bytesIn, 0)
  const planned = plan.layers.reduce((sum, layer) => sum + layer.bytesOut, 0)
  const written = targetSize === null ? planned : targetSize * taken
  const after = Math.max(0, before - taken) + written
  if (after >= before)
    return (
      <p class="size" aria-live="polite">
        <b>about {formatBytes(before)}</b>
        <span class="quiet">, no smaller than before</span>
      </p>
    )
  return (
    <p class="size" aria-live="polite">
      <span class="quiet">{formatBytes(before)} →</span>{' '}
      <b>
        {targetSize === null ? 'about' : 'at most about'} {formatBytes(Math.round(after))}
      </b>
      <span class="quiet">, {timesSmaller(before, after)}</span>
    </p>
  )
}
