/** The choice of the model: a file, with its external data if it has any, or the built-in example. */
import type { RunnerInput } from 'gpfq/onnx'
import { formatBytes } from 'gpfq/report'
import type { SectionProps } from './App.tsx'
import { Busy, Drop, Problem } from './parts.tsx'

export function ModelSection({ session, state }: SectionProps) {
  const { busy, summary, failure } = state.model
  return (
    <section aria-labelledby="model">
      <h2 id="model">Model</h2>
      {summary === null ? (
        <>
          <div class="choices">
            <Drop
              label="Choose an ONNX model"
              hint="or drop it here: the .onnx file, and its data files if it has any"
              disabled={busy}
              onFiles={(files) => void session.chooseModel(files)}
            />
            <button type="button" class="choice" disabled={busy} onClick={() => void session.chooseExample()}>
              <span class="drop-label">Try the built-in example</span>
              <span class="quiet">a small network that reads handwritten digits, with its data</span>
            </button>
          </div>
          {busy && <Busy doing="Reading the model" onCancel={() => session.cancelModel()} />}
        </>
      ) : (
        <div class="chosen">
          <p>
            <b>{summary.name}</b>, {formatBytes(summary.bytes)}
            <br />
            <span class="quiet">
              takes {summary.inputs.map(inputText).join(' and ')}
              {summary.externalData.length > 0 && `; weights in ${summary.externalData.join(', ')}`}
            </span>
          </p>
          <Drop label="Another model" onFiles={(files) => void session.chooseModel(files)} />
        </div>
      )}
      <Problem failure={failure} />
    </section>
  )
}

function inputText({ name, type, dims }: RunnerInput): string {
  return `${name}: ${type} ${dims?.map((dim) => dim ?? '?').join(' × ') ?? 'of any shape'}`
}
