/** The result: the main numbers, downloads, pictures, and each layer up close. */
import type { QuantizeReport } from 'gpfq/onnx'
import {
  accuracyPicture,
  answersPicture,
  errorLegend,
  errorPicture,
  headline,
  layerFacts,
  methodName,
  type ReportDocument,
  renderReport,
  sizePicture,
  speedPicture,
  weightsPicture,
} from 'gpfq/report'
import { memo } from 'preact/compat'
import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import type { RunResult } from '../job/protocol.ts'
import { Facts, Notes, Picture, Problem } from './parts.tsx'

interface ResultProps {
  readonly result: RunResult
  /** Whether the answers are those to test data; else to calibration data. */
  readonly tested: boolean
}

export const ResultSection = memo(({ result, tested }: ResultProps) => {
  const { document, lookFailure } = result
  const { report, accuracy } = document
  const heading = useRef<HTMLHeadingElement>(null)
  useEffect(() => {
    heading.current?.focus({ preventScroll: true })
    heading.current?.scrollIntoView({ block: 'start', behavior: 'auto' })
  }, [result])
  return (
    <section aria-labelledby="results" class="results">
      <h2 id="results" ref={heading} tabIndex={-1}>
        {document.output} is ready
      </h2>
      <dl class="tiles">
        {headline(document).map(({ title, value, more }) => (
          <div key={title}>
            <dt>{title}</dt>
            <dd>
              {value}
              <small>{more}</small>
            </dd>
          </div>
        ))}
      </dl>
      <Downloads result={result} />
      <p class="quiet">The file loads in ONNX Runtime as it is. {useText(report)}</p>
      {lookFailure !== null && (
        <>
          <h3>{tested ? 'Accuracy' : 'A few answers'}</h3>
          <p class="quiet">
            The model is written, but its answers to your {tested ? 'test' : 'calibration'} data could not be
            compared.
          </p>
          <Problem failure={lookFailure} />
        </>
      )}
      {accuracy !== undefined && (
        <>
          <h3>Accuracy</h3>
          <p class="quiet">The networks on the same labelled data, none of it used for quantizing.</p>
          <Picture of={accuracyPicture(accuracy, methodName(report))} />
        </>
      )}
      <Pictures document={document} tested={tested} />
      {report.notes.length > 0 && (
        <>
          <h3>Notes</h3>
          <ul class="plain">
            <Notes of={report.notes} />
          </ul>
        </>
      )}
    </section>
  )
})

function Downloads({ result: { document, model } }: Pick<ResultProps, 'result'>) {
  const stem = document.output.replace(/\.onnx$/, '')
  return (
    <div class="actions">
      <Download label="Download the model" name={document.output} primary make={() => model} />
      <Download
        label="Report"
        name={`${stem}.html`}
        make={() => new Blob([renderReport(document)], { type: 'text/html' })}
      />
      <Download
        label="Report as JSON"
        name={`${stem}.json`}
        make={() => new Blob([jsonOf(document)], { type: 'application/json' })}
      />
    </div>
  )
}

interface PicturesProps {
  readonly document: ReportDocument
  readonly tested: boolean
}

function Pictures({ document, tested }: PicturesProps) {
  const { report, rounded, answers } = document
  const name = methodName(report)
  return (
    <>
      <h3>Error by layer</h3>
      <p class="quiet">{errorLegend(rounded !== undefined)}</p>
      <Picture of={errorPicture(report.layers, rounded?.layers, name)} />
      <LayerUpClose document={document} />
      <h3>Size by layer</h3>
      <p class="quiet">What the weights take in the file.</p>
      <Picture of={sizePicture(report.layers)} />
      {report.speed !== null && (
        <>
          <h3>Speed</h3>
          <Picture of={speedPicture(report.speed, name, report.runner)} />
        </>
      )}
      {answers !== undefined && answers.length > 0 && (
        <>
          <h3>A few answers</h3>
          <p class="quiet">
            Some inputs from your {tested ? 'test' : 'calibration'} data, and a few on which the two networks
            differ, if there are any. The share is how sure a network is.
          </p>
          <Picture of={answersPicture(answers, name)} />
        </>
      )}
    </>
  )
}

/** What the formats of the layers mean for size and speed (docs/FORMATS.md). */
function useText({ layers }: QuantizeReport): string {
  if (layers.some(({ kernel }) => kernel === 'int8'))
    return 'It is smaller to download, and some of its layers run on integers.'
  const stored = new Set(layers.map(({ format }) => format))
  if (stored.has('qdq') || stored.has('nbits'))
    return 'It is smaller to download. In a browser this form is computed at every run: dense layers get slower.'
  const same = 'in a browser it runs as fast as before, not faster.'
  return stored.has('packed') ? `It is smaller to download; ${same}` : `It is not smaller, and ${same}`
}

function LayerUpClose({ document: { report } }: { readonly document: ReportDocument }) {
  const [chosen, setChosen] = useState(report.layers[0]?.name ?? '')
  const layer = report.layers.find(({ name }) => name === chosen) ?? report.layers[0]
  const picture = useMemo(() => (layer === undefined ? null : weightsPicture(layer)), [layer])
  if (layer === undefined || picture === null) return null
  return (
    <>
      <h3>A layer up close</h3>
      <label class="choose">
        Layer
        <select value={layer.name} onChange={({ currentTarget }) => setChosen(currentTarget.value)}>
          {report.layers.map(({ name }) => (
            <option key={name} value={name}>
              {name}
            </option>
          ))}
        </select>
      </label>
      <Picture of={picture} />
      <Facts of={layerFacts(layer)} />
    </>
  )
}

interface DownloadProps {
  readonly label: string
  readonly name: string
  readonly primary?: boolean
  readonly make: () => Blob
}

function Download({ label, name, primary = false, make }: DownloadProps) {
  return (
    <button type="button" class={primary ? 'main primary' : 'main'} onClick={() => save(make(), name)}>
      {label}
    </button>
  )
}

function save(blob: Blob, name: string): void {
  const url = URL.createObjectURL(blob)
  const link = document.createElement('a')
  link.href = url
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(url), 10_000)
}

/** The report as the command line writes it, with accuracy and answers. */
function jsonOf({ model, output, report, ...more }: ReportDocument): string {
  const answers = more.answers?.map(({ image: _, ...rest }) => rest)
  return `${JSON.stringify({ model, output, ...report, ...more, answers }, null, 2)}\n`
}
