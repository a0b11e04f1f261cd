/** A command, shown so that it can be read and selected, with a button that copies it. */
import { useEffect, useState } from 'preact/hooks'

export function CopyButton({ text, label }: { readonly text: string; readonly label: string }) {
  const [copied, setCopied] = useState(false)
  useEffect(() => {
    if (!copied) return
    const timer = setTimeout(() => setCopied(false), 2500)
    return () => clearTimeout(timer)
  }, [copied])
  return (
    <details class="command">
      <summary>{label}</summary>
      <pre>
        <code>{text}</code>
      </pre>
      <button type="button" onClick={async () => setCopied(await copy(text))}>
        {copied ? 'Copied' : 'Copy'}
      </button>
    </details>
  )
}

/** Copies a text; false where the browser keeps pages from the clipboard. The text can be selected then. */
async function copy(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    return false
  }
}
