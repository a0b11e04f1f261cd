/** The alarm: whoever waits hears of the first failure, and what is over is forgotten. */
import { describe, expect, it } from 'vitest'
import { createAlarm, workerFailed } from '#src/engine/alarm.js'

const never = new Promise<never>(() => {})
const error = workerFailed('it died')

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

  it('holds nothing of a race that is over', async () => {
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

/** Fills memory until the engine collects what nobody holds. */
async function collectGarbage(): Promise<void> {
  const canary = new WeakRef({})
  for (let i = 0; i < 2000 && canary.deref() !== undefined; i++) {
    await new Promise((resolve) => setTimeout(resolve))
    Array.from({ length: 1e5 }, () => ({}))
  }
}
