/** The alarm: every wait ends with the first failure, and a wait that is over is released. */
import { describe, expect, it } from 'vitest'
import { createAlarm, workerFailed } from '#src/engine/alarm.js'

const never = new Promise<never>(() => {})
const error = workerFailed('it died')

describe('workerFailed', () => {
  it('has the fields of an error, and its text is made of them', () => {
    expect(error).toMatchObject({ code: 'WORKER_FAILED', place: 'worker', hint: 'create a new quantizer' })
    expect(error.message).toBe('worker: failed: it died; create a new quantizer')
    expect(workerFailed(new Error('a trap')).problem).toBe('failed: a trap')
  })
})

describe('race', () => {
  it('gives what the work gives, or throws what it throws', async () => {
    const alarm = createAlarm()
    expect(await alarm.race(Promise.resolve(3))).toBe(3)
    await expect(alarm.race(Promise.reject(new Error('of its own')))).rejects.toThrow('of its own')
  })

  it('ends with the first failure, whether it began before or after', async () => {
    const alarm = createAlarm()
    const before = alarm.race(never)
    alarm.raise(error)
    alarm.raise(workerFailed('another'))
    await expect(before).rejects.toBe(error)
    await expect(alarm.race(never)).rejects.toBe(error)
  })

  it('keeps nothing of a race that is over in memory', async () => {
    const alarm = createAlarm()
    const results: WeakRef<object>[] = []
    for (let i = 0; i < 50; i++) {
      const result = await alarm.race(Promise.resolve({ codes: new Uint8Array(1000) }))
      results.push(new WeakRef(result))
    }
    await collectGarbage()
    expect(results.filter((ref) => ref.deref() !== undefined).length).toBeLessThan(5)
  })
})

/** Allocates until the garbage collector has run. */
async function collectGarbage(): Promise<void> {
  const canary = new WeakRef({})
  for (let i = 0; i < 2000 && canary.deref() !== undefined; i++) {
    await new Promise((resolve) => setTimeout(resolve))
    Array.from({ length: 1e5 }, () => ({}))
  }
}
