/** The layers: what will be done with each and what will not, and while it runs how far each has come. */
import type { LayerReport, ModelPlan } from 'gpfq/onnx'
import { errorText, formatBytes, shapeText } from 'gpfq/report'
import { memo } from 'preact/compat'
import type { SectionProps } from './App.tsx'
import { Problem } from './parts.tsx'

export function LayersSection({ state }: SectionProps) {
  const { plan, planFailure, run } = state
  const started = run.status !== 'idle'
  return (
    <section aria-labelledby="layers">
      <h2 id="layers">Layers</h2>
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
              {plan.layers.map((layer) => (
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
                />
              ))}
            </tbody>
          </table>
          <LeftOut plan={plan} />
        </>
      )}
    </section>
  )
}

interface RowProps {
  readonly layer: ModelPlan['layers'][number]
  readonly status: 'planned' | 'waiting' | 'current'
  readonly report: LayerReport | undefined
}

const Row = memo(({ layer, status, report }: RowProps) => (
  <tr class={status}>
    <th scope="row">{layer.name}</th>
    <td>{shapeText(layer)}</td>
    <td class="number">
      {formatBytes(layer.bytesIn)} → {formatBytes(layer.bytesOut)}
    </td>
    <td class="number">{stateText(layer, status, report)}</td>
  </tr>
))

function stateText(
  layer: RowProps['layer'],
  status: RowProps['status'],
  report: LayerReport | undefined,
): string {
  if (report !== undefined) return report.relativeError === null ? 'done' : errorText(report.relativeError)
  if (status === 'planned') return `${layer.levels} values, ${layer.format}`
  return status === 'current' ? 'choosing…' : '–'
}

function summaryOf({ layers, skipped, foldedBatchNorms }: ModelPlan): string {
  const some = `${layers.length} ${layers.length === 1 ? 'layer' : 'layers'} will be quantized`
  const rest = skipped.length === 0 ? '' : `, ${skipped.length} left as they are`
  const folded =
    foldedBatchNorms.length === 0
      ? ''
      : ` ${foldedBatchNorms.length} BatchNormalization nodes are folded into the weights before them.`
  return `${some}${rest}. Biases and everything else stay float.${folded}`
}

function LeftOut({ plan: { skipped, notes, layers } }: { readonly plan: ModelPlan }) {
  const reasons = [...new Map(layers.map(({ format, formatReason }) => [format, formatReason]))]
  return (
    <>
      {skipped.length > 0 && (
        <details open={skipped.length <= 4}>
          <summary>Left as they are</summary>
          <ul class="plain">
            {skipped.map(({ name, reason }) => (
              <li key={name}>
                <b>{name}</b>: {reason}
              </li>
            ))}
          </ul>
        </details>
      )}
      <details>
        <summary>Why stored like this?</summary>
        <ul class="plain">
          {reasons.map(([format, reason]) => (
            <li key={format}>
              <b>{format}</b>: {reason}
            </li>
          ))}
          {notes.map((note) => (
            <li key={note}>{note}</li>
          ))}
        </ul>
      </details>
    </>
  )
}
