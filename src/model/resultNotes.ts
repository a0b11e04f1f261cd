/**
 * Notes of a run: what its settings and its memory meant, layers that were guarded, and outputs that lose more than by rounding
 * or that jump.
 */
import type { Runner } from '../calibration/runner.js'
import type { StreamPlan } from '../calibration/streamPlan.js'
import type { VerifiedOutput } from '../calibration/verify.js'
import type { Note } from '../notes.js'
import type { HeldOutReport, LayerReport, ModelPlan } from '../options.js'
import type { PathFault } from './guard.js'

/** What a user can do about it. */
const CURES: Readonly<Record<PathFault, string>> = {
  'few rows': 'few sample rows for their inputs: more samples would help',
  'dominating inputs': 'a few inputs have most of the energy, so the path gives the others away',
  'loud rows': 'a few sample rows have most of the energy',
  'low rank': 'the sample rows say much the same',
}

/** Layers that a note lists. */
const MOST_LISTED = 5

/** Rounding is worth a note where its outputs are better by more than this. */
const WORSE_DB = 0.2

/** One note for each way and reason, with the layers; then the outputs that rounding gives better. */
export const guardNotes = (
  layers: readonly LayerReport[],
  heldOut: HeldOutReport | null,
): readonly Note[] => [...layerNotes(layers), ...outputNotes(heldOut)]

function layerNotes(layers: readonly LayerReport[]): readonly Note[] {
  const groups = new Map<string, LayerReport[]>()
  for (const layer of layers) {
    const { judgement } = layer
    if (judgement === null || judgement.kept === 'path') continue
    const key = JSON.stringify([judgement.kept, judgement.errors === null, judgement.reasons])
    const own = groups.get(key)
    if (own === undefined) groups.set(key, [layer])
    else own.push(layer)
  }
  return [...groups.values()].map((own): Note => {
    const { kept, reasons, errors } = own[0]!.judgement!
    const why = reasons.map((reason) => CURES[reason]).join('; ')
    const dampings = own.map(({ judgement }) => judgement?.damping ?? 0)
    const names = own.slice(0, MOST_LISTED).map(({ name }) => `'${name}'`)
    const more = own.length > MOST_LISTED ? ` and ${own.length - MOST_LISTED} more` : ''
    const what = kept === 'rounding' ? 'rounded' : `path with damping ${rangeText(dampings)}`
    const judge = errors === null ? '' : ', which loses less on the samples kept out'
    return {
      code: kept === 'rounding' ? 'ROUNDED_INSTEAD' : 'PATH_DAMPED',
      place: `${own.length === 1 ? 'layer' : 'layers'} ${names.join(', ')}${more}`,
      text: `${what}${judge} (${why})`,
    }
  })
}

/** Three digits, and both ends where they differ. */
function rangeText(values: readonly number[]): string {
  const [least, most] = [Math.min(...values), Math.max(...values)].map((value) => `${+value.toPrecision(3)}`)
  return least === most ? `${least}` : `${least} to ${most}`
}

function outputNotes(heldOut: HeldOutReport | null): readonly Note[] {
  return (heldOut?.outputs ?? []).flatMap(({ output, sqnrDb, rounding }): Note[] => {
    const ofRounding = rounding?.sqnrDb ?? null
    if (sqnrDb === null || ofRounding === null || ofRounding - sqnrDb <= WORSE_DB) return []
    const text = `${sqnrDb.toFixed(1)} dB on the samples kept out, and ${ofRounding.toFixed(1)} dB if all weights are rounded: compare with --method msq --radius mse`
    return [{ code: 'ROUNDING_IS_BETTER', place: `output '${output}'`, text }]
  })
}

/** Outputs of the written model that the last check could not compare, because they jump. */
export const jumpNotes = (verified: readonly VerifiedOutput[]): readonly Note[] =>
  verified.flatMap(({ output, difference, unit, jump }): Note[] => {
    if (jump === null) return []
    const found =
      unit === 'relative' ? `${(100 * difference).toPrecision(2)} %` : `${difference.toFixed(1)} steps`
    const text = `differs by ${found} from what calibration computed; it jumps, since optimizations of the runtime alone change it by ${(100 * jump).toPrecision(2)} %: try the file on your data`
    return [{ code: 'OUTPUT_JUMPS', place: `output '${output}'`, text }]
  })

/** Models of the run that the device of the runner did not run. */
export const runnerNotes = ({ fellBack }: Runner): readonly Note[] =>
  fellBack === undefined || fellBack === null
    ? []
    : [{ code: 'RUNNER_FELL_BACK', place: 'WebGPU', text: fellBack }]

/** Batches whose tensors are not held. */
/** @param recomputed batches that no file could hold */
export function memoryNotes({ bytes, batches, resident }: StreamPlan, recomputed: number): readonly Note[] {
  if (resident === batches) return []
  const need = `calibration tensors need ${Math.ceil(bytes / 2 ** 20)} MiB: `
  if (recomputed === 0) {
    const text = `${need}those of ${batches - resident} of ${batches} batches were in a temporary file, which is removed`
    return [{ code: 'TENSORS_IN_FILE', place: null, text }]
  }
  const text =
    `${need}${recomputed} of ${batches} batches were computed again at every stage, because there is no room for a temporary ` +
    'file; fewer samples avoid it'
  return [{ code: 'BATCHES_RECOMPUTED', place: null, text }]
}

/** What a caller should know of the settings. @param hasFastMath whether relaxed SIMD ran */
export function settingNotes(
  { settings }: ModelPlan,
  wantsFastMath: boolean,
  hasFastMath: boolean,
): readonly Note[] {
  const notes: Note[] = []
  if (settings.method === 'frame') {
    const text =
      'frame: the file holds float32 values, as large as before; bits are what their codes and scales would take'
    notes.push({ code: 'VALUES_ARE_FLOAT', place: null, text })
  }
  if (wantsFastMath && hasFastMath) {
    const text =
      'fastMath: codes at near-ties may differ from those of another machine, and from those without it'
    notes.push({ code: 'FAST_MATH', place: null, text })
  }
  if (wantsFastMath && !hasFastMath) {
    const text = 'fastMath: the runtime has no relaxed SIMD, or a faulty one; the standard kernels ran'
    notes.push({ code: 'FAST_MATH_MISSING', place: null, text })
  }
  return notes
}
