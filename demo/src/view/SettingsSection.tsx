/** How small: bits and method, with the size that results; the rest folded away. */
import type { Format, Method } from 'gpfq/onnx'
import { formatBytes, timesSmaller } from 'gpfq/report'
import { levelsOf } from '../settings.ts'
import { AdvancedSettings } from './AdvancedSettings.tsx'
import type { SectionProps } from './App.tsx'

const BITS = [2, 3, 4, 5, 6, 7, 8] as const

const METHODS: readonly { readonly method: Method; readonly name: string; readonly what: string }[] = [
  {
    method: 'gpfq',
    name: 'Path following (GPFQ)',
    what: 'each weight makes up for those before it; fast and sturdy',
  },
  { method: 'spfq', name: 'Stochastic path following (SPFQ)', what: 'the same with chance in its rounding' },
  { method: 'gptq', name: 'GPTQ', what: 'those after a weight make up for its error' },
  { method: 'qronos', name: 'Qronos', what: 'corrects past errors and those of earlier layers; slower' },
  { method: 'msq', name: 'Rounding', what: 'each weight goes to its nearest value by itself' },
]

export const FORMATS: readonly (readonly [Format | 'auto', string])[] = [
  ['auto', 'the smallest that runs at full speed'],
  ['packed', 'packed: smallest file, unpacked once at load'],
  ['qdq', 'qdq: standard DequantizeLinear'],
  ['nbits', 'nbits: MatMulNBits, fast on native CPUs'],
  ['float', 'float: quantized values as float32, nothing saved'],
]

export function SettingsSection({ session, state }: SectionProps) {
  const { settings } = state
  return (
    <section aria-labelledby="settings">
      <h2 id="settings">How small?</h2>
      <fieldset class="bits">
        <legend>Bits per weight</legend>
        <div class="segments">
          {BITS.map((bits) => (
            <label key={bits}>
              <input
                type="radio"
                name="bits"
                value={bits}
                checked={settings.levels === null && settings.bits === bits}
                onChange={() => void session.changeSettings({ bits, levels: null })}
              />
              <span>{bits}</span>
            </label>
          ))}
        </div>
        <p class="quiet">{bitsAdvice(levelsOf(settings))}</p>
      </fieldset>
      <Size state={state} />
      <fieldset class="methods">
        <legend>Method</legend>
        {METHODS.map(({ method, name, what }) => (
          <label key={method}>
            <input
              type="radio"
              name="method"
              value={method}
              checked={settings.method === method}
              onChange={() => void session.changeSettings({ method })}
            />
            <span>
              {name} <span class="quiet">{what}</span>
            </span>
          </label>
        ))}
      </fieldset>
      <AdvancedSettings session={session} state={state} />
    </section>
  )
}

function bitsAdvice(levels: number): string {
  const values = `${levels} values per weight`
  if (levels <= 3) return `${values}. As small as it gets; expect some loss.`
  if (levels <= 7) return `${values}. Often close to the original.`
  if (levels <= 15) return `${values}. A good place to start: usually as good as the original.`
  return `${values}. Next to no loss.`
}

/** What the file will weigh, by the plan; known before anything runs. The plan's notes name weights of which a float copy stays. */
function Size({ state: { model, plan } }: Pick<SectionProps, 'state'>) {
  const before = model.summary?.bytes ?? 0
  if (plan === null) return <p class="size" aria-live="polite" />
  const taken = plan.layers.reduce((sum, layer) => sum + layer.bytesIn, 0)
  const written = plan.layers.reduce((sum, layer) => sum + layer.bytesOut, 0)
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
      <span class="quiet">{formatBytes(before)} →</span> <b>about {formatBytes(after)}</b>
      <span class="quiet">, {timesSmaller(before, after)}</span>
    </p>
  )
}
