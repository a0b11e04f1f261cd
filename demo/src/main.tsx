/** Starts the page: isolates it if it can be, and draws it. */
import { PALETTE, PICTURE_STYLE } from 'gpfq/report'
import { render } from 'preact'
import { isolate } from './isolation.ts'
import { Session } from './session.ts'
import { App } from './view/App.tsx'

/** The pictures look as in the report: the same rules, put in through the style interface, which needs no inline styles. */
const pictures = new CSSStyleSheet()
pictures.replaceSync(PALETTE + PICTURE_STYLE)
document.adoptedStyleSheets = [pictures]

const isolation = await isolate()
const place = document.getElementById('page')
if (place !== null && isolation !== 'pending')
  render(<App session={new Session(isolation === 'isolated')} />, place)
