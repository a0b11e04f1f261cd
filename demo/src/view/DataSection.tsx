/** The choice of the data: inputs to calibrate on, labelled inputs to test with, and how both are preprocessed. */
import type { DataSummary, Preprocessing } from '../job/protocol.ts'
import type { Choice, Session } from '../session.ts'
import type { SectionProps } from './App.tsx'
import { NumberField, NumbersField } from './fields.tsx'
import { Busy, Drop, Problem } from './parts.tsx'

const ACCEPT = '.npy,.npz,.gz,.png,.jpg,.jpeg,image/png,image/jpeg'
const KINDS = 'images, or a NumPy file (.npy, .npz)'

export function DataSection({ session, state }: SectionProps) {
  const { calibration, test, preprocessing } = state
  const unscaled = calibration.summary?.unscaled === true
  return (
    <section aria-labelledby="data">
      <h2 id="data">Example inputs</h2>
      <p class="quiet">
        Inputs like those the network will meet. A few hundred are enough, and no labels are needed.
      </p>
      <DataChoice
        label="Choose calibration data"
        hint={`or drop it here: ${KINDS}`}
        choice={calibration}
        onFiles={(files) => void session.chooseData('calibration', files)}
        onCancel={() => void session.chooseData('calibration', null)}
      />
      {unscaled && (
        <p class="notice">
          These are bytes from 0 to 255. Most networks want numbers from 0 to 1.{' '}
          <button type="button" onClick={() => void session.changePreprocessing({ scale: 255 })}>
            Divide by 255
          </button>
        </p>
      )}
      <PreprocessingFields session={session} preprocessing={preprocessing} />
      <h3>
        Test data <span class="optional">optional</span>
      </h3>
      <p class="quiet">
        Inputs with the right answers, to see how many the smaller network still gets right.
      </p>
      <DataChoice
        label="Choose labelled test data"
        hint="an .npz with labels in it, or inputs and a second file with “label” in its name"
        choice={test}
        onFiles={(files) => void session.chooseData('test', files)}
        onCancel={() => void session.chooseData('test', null)}
        onRemove={() => void session.chooseData('test', null)}
      />
    </section>
  )
}

interface PreprocessingProps {
  readonly session: Session
  readonly preprocessing: Preprocessing
}

function PreprocessingFields({ session, preprocessing }: PreprocessingProps) {
  return (
    <details>
      <summary>How the data is prepared</summary>
      <p class="quiet">
        Each number becomes (x ÷ divisor − mean) ÷ standard deviation, as it was when the network was trained.
        Mean and deviation: one number, or one per channel.
      </p>
      <div class="fields">
        <NumberField
          label="Divide by"
          value={preprocessing.scale}
          placeholder="1"
          onChange={(scale) => void session.changePreprocessing({ scale })}
        />
        <NumbersField
          label="Mean"
          value={preprocessing.mean}
          placeholder="0"
          onChange={(mean) => void session.changePreprocessing({ mean })}
        />
        <NumbersField
          label="Standard deviation"
          value={preprocessing.std}
          placeholder="1"
          onChange={(std) => void session.changePreprocessing({ std })}
        />
        <label>
          Order of axes in array files
          <select
            value={preprocessing.layout ?? ''}
            onChange={({ currentTarget: { value } }) =>
              void session.changePreprocessing({
                layout: value === 'nchw' || value === 'nhwc' ? value : null,
              })
            }
          >
            <option value="">as in the model</option>
            <option value="nchw">channels, height, width</option>
            <option value="nhwc">height, width, channels</option>
          </select>
        </label>
        <NumberField
          label="Samples to use, at most"
          value={preprocessing.samples}
          least={1}
          whole
          onChange={(samples) => samples !== null && void session.changePreprocessing({ samples })}
        />
      </div>
    </details>
  )
}

interface DataChoiceProps {
  readonly label: string
  readonly hint: string
  readonly choice: Choice<DataSummary>
  readonly onFiles: (files: readonly File[]) => void
  readonly onCancel: () => void
  readonly onRemove?: () => void
}

function DataChoice({ label, hint, choice, onFiles, onCancel, onRemove }: DataChoiceProps) {
  const { busy, summary, failure } = choice
  return (
    <>
      {summary === null ? (
        <Drop label={label} hint={hint} accept={ACCEPT} disabled={busy} onFiles={onFiles} />
      ) : (
        <div class="chosen">
          <p>
            <b>{summary.name}</b>, {samplesText(summary)}
            {summary.labels !== null && (
              <>
                <br />
                <span class="quiet">labels: {summary.labels}</span>
              </>
            )}
            {summary.notes.map((note) => (
              <span class="quiet" key={note}>
                <br />
                {note}
              </span>
            ))}
          </p>
          <div class="actions">
            <Drop label="Other data" accept={ACCEPT} onFiles={onFiles} />
            {onRemove !== undefined && (
              <button type="button" onClick={onRemove}>
                Without
              </button>
            )}
          </div>
        </div>
      )}
      {busy && <Busy doing="Reading the data" onCancel={onCancel} />}
      <Problem failure={failure} />
    </>
  )
}

function samplesText({ samples, available }: DataSummary): string {
  const count = samples.toLocaleString('en')
  return samples === available ? `${count} samples` : `${count} of ${available.toLocaleString('en')} samples`
}
