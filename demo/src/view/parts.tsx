/** Parts that sections share: a failure, notes, an area to drop files on, a picture of the report, a list of facts. */
import { describeNote, type Note } from 'gpfq/onnx'
import type { Html } from 'gpfq/report'
import { useEffect, useState } from 'preact/hooks'
import type { Failure } from '../job/protocol.ts'
import { droppedFiles } from './droppedFiles.ts'

export function Problem({ failure }: { readonly failure: Failure | null }) {
  if (failure === null) return null
  return (
    <div class="problem" role="alert">
      <p>
        <b>{failure.title}.</b>
      </p>
      <p>{failure.detail}</p>
    </div>
  )
}

/** Milliseconds until a wait is shown. Most end sooner, and would flicker. */
const NOTICED = 300

interface BusyProps {
  /** What is going on, with a capital. */
  readonly doing: string
  readonly onCancel: () => void
}

/** A wait that can be cancelled. */
export function Busy({ doing, onCancel }: BusyProps) {
  const [noticed, setNoticed] = useState(false)
  useEffect(() => {
    const timer = setTimeout(setNoticed, NOTICED, true)
    return () => clearTimeout(timer)
  }, [])
  if (!noticed) return null
  return (
    <div class="busy">
      <p class="quiet" role="status">
        {doing}…
      </p>
      <button type="button" onClick={onCancel}>
        Cancel<span class="visually-hidden"> {doing.toLowerCase()}</span>
      </button>
    </div>
  )
}

/** Items of a list: the notes of a plan or a report. */
export function Notes({ of }: { readonly of: readonly Note[] }) {
  return of.map((note) => <li key={describeNote(note)}>{describeNote(note)}</li>)
}

interface DropProps {
  /** The text of the file button. */
  readonly label: string
  readonly hint?: string
  readonly accept?: string
  readonly disabled?: boolean
  readonly onFiles: (files: readonly File[]) => void
}

/** A file button. Files can be dropped on it, and its label is the whole area. */
export function Drop({ label, hint, accept, disabled = false, onFiles }: DropProps) {
  const [over, setOver] = useState(false)
  return (
    <label
      class={over ? 'drop over' : 'drop'}
      onDragOver={(event) => {
        event.preventDefault()
        setOver(true)
      }}
      onDragLeave={() => setOver(false)}
      onDrop={async (event) => {
        event.preventDefault()
        setOver(false)
        const files = event.dataTransfer === null ? [] : await droppedFiles(event.dataTransfer)
        if (files.length > 0 && !disabled) onFiles(files)
      }}
    >
      <input
        type="file"
        multiple
        disabled={disabled}
        {...(accept === undefined ? {} : { accept })}
        onChange={({ currentTarget }) => {
          const files = [...(currentTarget.files ?? [])]
          currentTarget.value = ''
          if (files.length > 0) onFiles(files)
        }}
      />
      <span class="drop-label">{label}</span>
      {hint !== undefined && <span class="quiet">{hint}</span>}
    </label>
  )
}

/** A picture of the report. src/report has escaped all text of models and files in it. */
export function Picture({ of }: { readonly of: Html }) {
  return <div class="picture" dangerouslySetInnerHTML={{ __html: of.text }} />
}

export function Facts({ of }: { readonly of: readonly (readonly [title: string, text: string])[] }) {
  return (
    <dl class="facts">
      {of.map(([title, text]) => (
        <div key={title}>
          <dt>{title}</dt>
          <dd>{text}</dd>
        </div>
      ))}
    </dl>
  )
}
