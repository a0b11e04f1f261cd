/** Work in steps: done at once, or with pauses between its steps, so that timers, signals and an abort are seen. */

/** Yields between steps, and returns the result. */
export type Steps<T> = Generator<undefined, T, undefined>

/** Does all steps at once. */
export function atOnce<T>(steps: Steps<T>): T {
  for (;;) {
    const step = steps.next()
    if (step.done === true) return step.value
  }
}

/** Does the steps one after another. @param pause is called between them (platform/pauses.ts) */
export async function withPauses<T>(steps: Steps<T>, pause: () => Promise<void> | undefined): Promise<T> {
  for (;;) {
    const step = steps.next()
    if (step.done === true) return step.value
    await pause()
  }
}
