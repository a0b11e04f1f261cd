/** The layers: how each will be stored, which are left out, and during a run the error of each. */
import type { LayerReport, ModelPlan } from 'gpfq/onnx'
import { errorText, formatBytes, shapeText } from 'gpfq/report'
import { memo } from 'preact/compat'
import type { SectionProps } from './App.tsx'
import { Busy, Notes, Problem } from './parts.tsx'

/** Rows and items that are shown at most: a page of a hundred thousand rows does not answer for seconds. */
const MOST = 500

export function LayersSection({ session, state }: SectionProps) {
  const { plan, planning, planFailure, run } = state
  const started = run.status !== 'idle'
  return (
    <section aria-labelledby="layers">
      <h2 id="layers">Layers</h2>
      {planning && <Busy doing="Planning" onCancel={() => session.cancelPlan()} />}
      {plan === null && !planning && planFailure === null && (
        <p class="quiet">Planning was cancelled. “Quantize” plans first.</p>
      )}
      <Problem failure={planFailure} />
      {plan !== null && (
        <>
          <p class="quiet">{summaryOf(plan)}</p>
          <table class="layers">
            <thead>
              <tr>
                <th scope="col">Layer</th>
                <th scope="col">Inputs × neurons</th>
                <th scope="col" class="number">
                  Weights
                </th>
                <th scope="col" class="number">
                  {started ? 'Error' : 'Stored as'}
                </th>
              </tr>
            </thead>
            <tbody>
              {plan.layers.slice(0, MOST).map((layer) => (
                <Row
                  key={layer.name}
                  layer={layer}
                  status={
                    !started
                      ? 'planned'
                      : run.current === layer.name && !run.own.has(layer.name)
                        ? 'current'
                        : 'waiting'
                  }
                  report={run.own.get(layer.name)}
                  open={plan.settings.targetSize !== null}
                />
              ))}
            </tbody>
          </table>
          <More than={plan.layers} />
          <LeftOut plan={plan} />
        </>
      )}
    </section>
  )
}

function More({ than }: { readonly than: readonly unknown[] }) {
  if (than.length <= MOST) return null
  return <p class="quiet">and {(than.length - MOST).toLocaleString('en')} more</p>
}

interface RowProps {
  readonly layer: ModelPlan['layers'][number]
  readonly status: 'planned' | 'waiting' | 'current'
  readonly report: LayerReport | undefined
  /** The run chooses the levels, so that the plan's sizes are not those of the result. */
  readonly open: boolean
}

const Row = memo(({ layer, status, report, open }: RowProps) => (
  <tr class={status}>
    <th scope="row">{layer.name}</th>
    <td>{shapeText(layer)}</td>
    <td class="number">
      {formatBytes(layer.bytesIn)}
      {(report !== undefined || !open) && ` → ${formatBytes((report ?? layer).bytesOut)}`}
    </td>
    <td class="number">{stateText({ layer, status, report, open })}</td>
  </tr>
))

function stateText({ layer, status, report, open }: RowProps): string {
  if (report !== undefined) return report.relativeError === null ? 'done' : errorText(report.relativeError)
  if (status === 'planned') {
    const kernel = layer.kernel === 'int8' ? ', on integers' : ''
    return open ? `chosen in the run${kernel}` : `${layer.levels} values, ${layer.format}${kernel}`
  }
  return status === 'current' ? 'choosing…' : '–'
}

function summaryOf({ layers, skipped, foldedBatchNorms, settings }: ModelPlan): string {
  const some = `${layers.length} ${layers.length === 1 ? 'layer' : 'layers'} will be quantized`
  const rest = skipped.length === 0 ? '' : `, ${skipped.length} left as they are`
  const folded =
    foldedBatchNorms.length === 0
      ? ''
      : ` ${foldedBatchNorms.length} BatchNormalization nodes are folded into the weights before them.`
  const integers = layers.filter(({ kernel }) => kernel === 'int8').length
  const others =
    settings.activations === null
      ? 'Biases and everything else stay float.'
      : integers === 0
        ? 'No layer runs on integers, so everything else stays float.'
        : `${integers} of them will run on integers, and their inputs are rounded to 8 bits.`
  return `${some}${rest}. ${others}${folded}`
}

function LeftOut({ plan: { skipped, notes, layers, settings } }: { readonly plan: ModelPlan }) {
  const reasons = new Map(layers.map((layer) => [`${layer.format} ${layer.kernel}`, layer]))
  const kernels = settings.activations === null ? [] : layers
  return (
    <>
      {skipped.length > 0 && (
        <details open={skipped.length <= 4}>
          <summary>Left as they are</summary>
          <ul class="plain">
            {skipped.slice(0, MOST).map(({ name, reason }) => (
              <li key={name}>
                <b>{name}</b>: {reason}
              </li>
            ))}
          </ul>
          <More than={skipped} />
        </details>
      )}
      <details>
        <summary>Why stored like this?</summary>
        <ul class="plain">
          {[...reasons].map(([key, { format, formatReason }]) => (
            <li key={key}>
              <b>{format}</b>: {formatReason}
            </li>
          ))}
          {kernels.slice(0, MOST).map(({ name, kernel, kernelReason }) => (
            <li key={name}>
              <b>{name}</b> on {kernel === 'int8' ? 'integers' : 'floats'}: {kernelReason}
            </li>
          ))}
          <Notes of={notes} />
        </ul>
      </details>
    </>
  )
}
