/**
 * Notes of loadFeeds: what a caller should know of data that is not an error. Like errors they are data: a code, a
 * place and a text, so that the command line and the page can say the same in their own words.
 */
import { describeError } from '../errors.js'

/** Something a caller should know of data that is not an error. */
export type FeedNote =
  /** Arrays of an archive that have no input's name are not used. */
  | {
      readonly code: 'NOT_AN_INPUT'
      readonly place: string
      readonly text: string
      readonly names: readonly string[]
    }
  /** Bytes go unchanged into an input of floats. */
  | {
      readonly code: 'NOT_SCALED'
      readonly place: string
      readonly text: string
      readonly hint: string
    }
  /** Images that cannot be read are left out. */
  | {
      readonly code: 'IMAGES_SKIPPED'
      readonly place: string
      readonly text: string
      /** How many they are. */
      readonly count: number
    }
  /** Files of sound that are shorter than the input are not used. */
  | { readonly code: 'SOUND_LEFT_OUT'; readonly place: string; readonly text: string }
  /** Values that stand for minus infinity, as in masks. */
  | { readonly code: 'SENTINELS'; readonly place: string; readonly text: string }
  /** The last samples do not fill a batch of the model's fixed size. */
  | { readonly code: 'SAMPLES_LEFT_OUT'; readonly place: null; readonly text: string }

/**
 * The sentence of a note: its place, its text and its hint.
 * @param note a note of loadFeeds
 * @param hints other words for some hints
 * @example
 * for (const note of feeds.notes) console.warn(describeFeedNote(note))
 */
export function describeFeedNote(
  note: FeedNote,
  hints: Readonly<Partial<Record<string, string>>> = {},
): string {
  if (note.place === null) return note.text
  const { place, text: problem } = note
  return describeError('hint' in note ? { place, problem, hint: note.hint } : { place, problem }, hints)
}
