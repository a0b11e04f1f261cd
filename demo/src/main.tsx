/** Starts the page: isolates it where that is possible, and draws it. */
import { PALETTE, PICTURE_STYLE } from 'gpfq/report'
import { render } from 'preact'
import { isolate } from './isolation.ts'
import { Session } from './session.ts'
import { App } from './view/App.tsx'

/** The style rules of the report's pictures, added by script because the page's policy forbids inline styles. */
const pictures = new CSSStyleSheet()
pictures.replaceSync(PALETTE + PICTURE_STYLE)
document.adoptedStyleSheets = [pictures]

const isolation = await isolate()
const place = document.getElementById('page')
if (place !== null && isolation !== 'pending')
  render(<App session={new Session(isolation === 'isolated')} />, place)
