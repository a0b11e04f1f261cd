/** The buttons that start and cancel a run, and its progress. */
import { formatSeconds } from 'gpfq/report'
import { useEffect, useRef } from 'preact/hooks'
import { commandOf, inputNamed } from '../command.ts'
import { needsCalibration } from '../pageSettings.ts'
import type { State } from '../session.ts'
import type { SectionProps } from './App.tsx'
import { CopyButton } from './CopyButton.tsx'
import { LiveErrors, loadChart } from './LiveErrors.tsx'
import { Problem } from './parts.tsx'

export function RunSection({ session, state }: SectionProps) {
  const { run } = state
  const running = run.status === 'running'
  const missing = whatIsMissing(state)
  useEffect(() => void loadChart(), [])
  const button = useRef<HTMLButtonElement>(null)
  const wasRunning = useRef(false)
  // The button with the focus is replaced by another, which takes the focus.
  useEffect(() => {
    if (wasRunning.current !== running && document.activeElement === document.body) button.current?.focus()
    wasRunning.current = running
  }, [running])
  return (
    <section aria-labelledby="run" class="run">
      <h2 id="run" class="visually-hidden">
        Quantize
      </h2>
      <div class="actions">
        {running ? (
          <button ref={button} type="button" class="main" key="cancel" onClick={() => session.cancelRun()}>
            Cancel
          </button>
        ) : (
          <button
            ref={button}
            type="button"
            class="main primary"
            key="run"
            disabled={missing !== null}
            onClick={() => void session.run()}
          >
            {run.status === 'idle' ? 'Quantize' : 'Quantize again'}
          </button>
        )}
        <CopyButton text={commandFor(state)} label="Copy as a command" />
      </div>
      {missing !== null && !running && <p class="quiet">{missing}</p>}
      {running && (
        <div class="progress">
          <progress aria-label="Progress" value={run.fraction} max={1} />
          <p>
            <span>
              {Math.floor(100 * run.fraction)} %,{' '}
              {run.current !== null && run.doing === 'choosing codes'
                ? `choosing values for ${run.current}`
                : run.doing}
            </span>
            <span class="quiet">{leftText(run.secondsLeft)}</span>
          </p>
        </div>
      )}
      {running && run.resumed && (
        <p class="quiet">Goes on behind the layers of a run that was not finished.</p>
      )}
      <p class="visually-hidden" role="status">
        {statusText(state)}
      </p>
      {run.status === 'cancelled' && <p class="quiet">Cancelled. Nothing was kept.</p>}
      <Problem failure={run.failure} />
      {running && run.own.size > 0 && <LiveErrors run={run} plan={state.plan} />}
    </section>
  )
}

function commandFor({ model, calibration, settings, preprocessing }: State): string {
  const files = calibration.files?.map(({ name }) => name) ?? []
  const images = files.length > 1 && files.every((name) => /\.(png|jpe?g)$/i.test(name))
  const inputs = model.summary?.inputs ?? []
  const data = files.map((file) => {
    const input = inputNamed(file, inputs)
    return input === null ? file : `${input}=${file}`
  })
  return commandOf(model.summary?.name ?? 'model.onnx', images ? ['images/'] : data, settings, preprocessing)
}

function whatIsMissing({ plan, planning, planFailure, calibration, test, settings }: State): string | null {
  if (planFailure !== null && planFailure.code !== 'WORKER_FAILED')
    return 'With these settings there is nothing to do.'
  if (plan === null && planning) return 'Planning…'
  if (calibration.busy || test.busy) return 'Reading…'
  if (calibration.summary !== null) return null
  return needsCalibration(settings) ? 'Choose calibration data first.' : null
}

function leftText(seconds: number | null): string {
  if (seconds === null) return ''
  return seconds < 1
    ? 'almost done'
    : `about ${formatSeconds(Math.max(1, Math.round(seconds))).replace('.0', '')} left`
}

/** The text for screen readers: the outcome, and each quarter of the progress. */
function statusText({ run, plan }: State): string {
  const layers = plan?.layers.length ?? 0
  switch (run.status) {
    case 'running':
      return `Running, ${25 * Math.floor(4 * run.fraction)} percent, ${run.own.size} of ${layers} layers measured`
    case 'done':
      return 'Done. The results follow.'
    case 'cancelled':
      return 'Cancelled.'
    default:
      return ''
  }
}
