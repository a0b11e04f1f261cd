/** Form fields that keep what is typed. A value that is not allowed shows an error and changes nothing. */
import { useEffect, useId, useState } from 'preact/hooks'

interface FieldProps<T> {
  readonly label: string
  readonly value: T
  readonly placeholder?: string
  readonly onChange: (value: T) => void
}

interface TextFieldProps<T> extends FieldProps<T> {
  readonly write: (value: T) => string
  /** The value of a text, or the error to show. */
  readonly read: (text: string) => { readonly value: T } | { readonly wrong: string }
  readonly numeric?: boolean
}

function TextField<T>({
  label,
  value,
  placeholder,
  onChange,
  write,
  read,
  numeric = false,
}: TextFieldProps<T>) {
  const written = write(value)
  const [text, setText] = useState(written)
  const id = useId()
  useEffect(() => setText(written), [written])
  const result = read(text)
  const wrong = 'wrong' in result ? result.wrong : null
  return (
    <label>
      {label}
      <input
        type="text"
        value={text}
        inputMode={numeric ? 'decimal' : 'text'}
        autoComplete="off"
        spellcheck={false}
        {...(placeholder === undefined ? {} : { placeholder })}
        {...(wrong === null ? {} : { 'aria-invalid': true, 'aria-describedby': id })}
        onInput={({ currentTarget }) => setText(currentTarget.value)}
        onChange={({ currentTarget }) => {
          const typed = read(currentTarget.value)
          if ('value' in typed && write(typed.value) !== written) onChange(typed.value)
        }}
      />
      {wrong !== null && (
        <span class="wrong" id={id}>
          {wrong}
        </span>
      )}
    </label>
  )
}

interface NumberFieldProps extends FieldProps<number | null> {
  readonly least?: number
  readonly most?: number
  readonly whole?: boolean
}

/** A number, or null when empty. */
export function NumberField({ least, most, whole = false, ...field }: NumberFieldProps) {
  return (
    <TextField
      {...field}
      numeric
      write={(value) => (value === null ? '' : String(value))}
      read={(text) => {
        if (text.trim() === '') return { value: null }
        const value = Number(text.replace(',', '.'))
        const fits = whole ? Number.isInteger(value) : Number.isFinite(value) && value > 0
        if (fits && value >= (least ?? value) && value <= (most ?? value)) return { value }
        const range = most === undefined ? `of at least ${least ?? 0}` : `from ${least} to ${most}`
        if (whole) return { wrong: `A whole number ${range}, please.` }
        return { wrong: `A number above zero${most === undefined ? '' : ` and up to ${most}`}, please.` }
      }}
    />
  )
}

/** Numbers separated by commas or spaces. */
export function NumbersField(field: FieldProps<readonly number[]>) {
  return (
    <TextField
      {...field}
      write={(value) => value.join(', ')}
      read={(text) => {
        const value = words(text).map(Number)
        return value.every(Number.isFinite)
          ? { value }
          : { wrong: 'Numbers like 0.485, 0.456, 0.406, please.' }
      }}
    />
  )
}

interface WordsFieldProps extends FieldProps<readonly string[]> {
  /** The error to show for a word, or null. */
  readonly check?: (word: string) => string | null
}

/** Words separated by commas or spaces. */
export function WordsField({ check, ...field }: WordsFieldProps) {
  return (
    <TextField
      {...field}
      write={(value) => value.join(', ')}
      read={(text) => {
        const value = words(text)
        const wrong = value.map((word) => check?.(word) ?? null).find((complaint) => complaint !== null)
        return wrong === undefined || wrong === null ? { value } : { wrong }
      }}
    />
  )
}

function words(text: string): readonly string[] {
  return text.split(/[\s,]+/).filter((word) => word !== '')
}

interface SelectFieldProps<T extends string> {
  readonly label: string
  readonly value: T
  readonly options: readonly (readonly [value: T, text: string])[]
  readonly onChange: (value: T) => void
}

/** A choice of one value. */
export function SelectField<T extends string>({ label, value, options, onChange }: SelectFieldProps<T>) {
  return (
    <label>
      {label}
      <select
        value={value}
        onChange={({ currentTarget }) => {
          const chosen = options.find(([each]) => each === currentTarget.value)
          if (chosen !== undefined) onChange(chosen[0])
        }}
      >
        {options.map(([each, text]) => (
          <option key={each} value={each}>
            {text}
          </option>
        ))}
      </select>
    </label>
  )
}

interface CheckFieldProps {
  readonly label: string
  readonly checked: boolean
  readonly disabled?: boolean
  readonly onChange: (checked: boolean) => void
}

export function CheckField({ label, checked, disabled = false, onChange }: CheckFieldProps) {
  return (
    <label>
      <input
        type="checkbox"
        checked={checked}
        disabled={disabled}
        onChange={({ currentTarget }) => onChange(currentTarget.checked)}
      />
      <span>{label}</span>
    </label>
  )
}
