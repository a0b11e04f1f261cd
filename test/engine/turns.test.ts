/** Turns: order, independence of failures, and aborts of work that has not started. */
import { describe, expect, it } from 'vitest'
import { closedError, createTurns } from '#src/engine/turns.js'

const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 2))

describe('take', () => {
  it('runs work in order, one piece at a time, also after a failure', async () => {
    const turns = createTurns()
    const log: string[] = []
    const work = (name: string) => async (): Promise<string> => {
      log.push(`${name} starts`)
      await pause()
      log.push(`${name} ends`)
      if (name === 'b') throw new Error('of its own')
      return name
    }
    const results = ['a', 'b', 'c'].map((name) => turns.take(work(name)))
    const outcomes = await Promise.allSettled(results)
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    expect(log).toEqual(['a starts', 'a ends', 'b starts', 'b ends', 'c starts', 'c ends'])
  })

  it('rejects at once on an abort before the work starts, and never starts it', async () => {
    const turns = createTurns()
    const stop = new AbortController()
    let finish = (): void => {}
    const first = turns.take(() => new Promise<void>((resolve) => (finish = resolve)))
    let started = false
    const second = turns.take(async () => {
      started = true
    }, stop.signal)
    stop.abort(new Error('not needed'))
    await expect(second).rejects.toThrow('not needed')
    finish()
    await first
    await turns.ended()
    expect(started).toBe(false)
  })
})

describe('closedError', () => {
  it('is a state of the quantizer', () => {
    expect(closedError()).toMatchObject({ code: 'CLOSED', message: 'quantizer: is closed' })
  })
})
