/** The page from top to bottom: purpose, model, data, settings, layers, run, results. */
import type { FunctionComponent } from 'preact'
import { memo } from 'preact/compat'
import { useEffect, useState } from 'preact/hooks'
import type { Session, State } from '../session.ts'
import { DataSection } from './DataSection.tsx'
import { LayersSection } from './LayersSection.tsx'
import { ModelSection } from './ModelSection.tsx'
import { ResultSection } from './ResultSection.tsx'
import { RunSection } from './RunSection.tsx'
import { SettingsSection } from './SettingsSection.tsx'

export interface SectionProps {
  readonly session: Session
  readonly state: State
}

/** A section that is drawn again only if one of these parts of the state has changed. A run changes `run` often. */
function drawnFor(section: FunctionComponent<SectionProps>, parts: readonly (keyof State)[]) {
  return memo(section, (before, after) => parts.every((part) => before.state[part] === after.state[part]))
}

const Model = drawnFor(ModelSection, ['model'])
const Data = drawnFor(DataSection, ['calibration', 'test', 'preprocessing'])
const Settings = drawnFor(SettingsSection, ['model', 'plan', 'settings', 'compare', 'threaded'])

export function App({ session }: { readonly session: Session }) {
  const state = useSession(session)
  const ready = state.model.summary !== null
  return (
    <>
      <header class="masthead">
        <p class="mark">gpfq</p>
        <h1>Make a trained network smaller</h1>
        <p class="lead">
          A network’s weights usually take 32 bits each. This page brings them down to a few, without training
          again, and shows what that costs. It works in this tab: your model and your data stay on this
          device.
        </p>
        <details class="how">
          <summary>How does it do that?</summary>
          <p>
            Rounding every weight to the nearest of a few values is easy, and makes an error in each of them.{' '}
            <b>Greedy path-following quantization</b> (GPFQ) looks at example inputs while it rounds: it takes
            a neuron’s weights one after another and chooses each value so that it makes up for the error of
            those before. What the neuron answers stays close to what it was, even with three values per
            weight.
          </p>
          <p>
            The method and its analysis:{' '}
            <a href="https://arxiv.org/abs/2010.15979" rel="noreferrer">
              Lybrand and Saab, 2020
            </a>
            .
          </p>
        </details>
      </header>
      <main>
        {!state.threaded && (
          <p class="notice">
            This page runs on one thread here, so it takes longer. Threads need two headers from the host
            (Cross-Origin-Opener-Policy and Cross-Origin-Embedder-Policy) or a service worker, and this
            browser or window allows neither. Results are the same.
          </p>
        )}
        <Model session={session} state={state} />
        {ready && <Data session={session} state={state} />}
        {ready && <Settings session={session} state={state} />}
        {ready && <LayersSection session={session} state={state} />}
        {ready && <RunSection session={session} state={state} />}
        {state.run.result !== null && (
          <ResultSection result={state.run.result} tested={state.test.summary !== null} />
        )}
      </main>
      <footer>
        <p>
          Nothing is uploaded: a Content-Security-Policy forbids this page to reach any other address. The
          same is a library and a command line, <code>gpfq</code>: run <code>npm pack</code> in a clone of its
          repository, and <code>npm install --global ./gpfq-*.tgz onnxruntime-web</code>.
        </p>
      </footer>
    </>
  )
}

function useSession(session: Session): State {
  const [state, setState] = useState(session.state)
  useEffect(() => session.subscribe(() => setState(session.state)), [session])
  return state
}
