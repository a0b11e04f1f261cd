/** The parts of a temporary file against a list of which bytes are taken. */
import { readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { openScratch } from '#scratch'
import { FileSpace } from '#src/calibration/scratch.js'

describe('FileSpace', () => {
  it('gives parts that do not overlap, and uses what was given back', () => {
    const step = fc.record({ bytes: fc.nat(40), gives: fc.option(fc.nat(), { nil: undefined }) })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const space = new FileSpace()
        const parts: { at: number; bytes: number }[] = []
        let most = 0
        for (const { bytes, gives } of steps) {
          if (gives !== undefined && parts.length > 0) {
            const [part] = parts.splice(gives % parts.length, 1)
            space.give(part!.at, part!.bytes)
          } else parts.push({ at: space.take(bytes), bytes })
          most = Math.max(
            most,
            parts.reduce((sum, part) => sum + part.bytes, 0),
          )
          const sorted = parts.filter((part) => part.bytes > 0).sort((a, b) => a.at - b.at)
          sorted.forEach((part, i) => {
            expect(part.at).toBeGreaterThanOrEqual(i === 0 ? 0 : sorted[i - 1]!.at + sorted[i - 1]!.bytes)
          })
          const last = sorted.at(-1)
          expect(space.size).toBe(last === undefined ? 0 : last.at + last.bytes)
        }
      }),
    )
  })
})

describe('the temporary file', () => {
  it('reads what was written, has no name, and leaves nothing', async () => {
    const names = () => readdirSync(tmpdir()).filter((name) => name.startsWith('gpfq-'))
    const before = names()
    const file = (await openScratch())!
    expect(names()).toEqual(before)
    await file.write(1000, Uint8Array.of(1, 2, 3))
    await file.write(0, Uint8Array.of(9))
    const bytes = new Uint8Array(3)
    await file.read(1000, bytes)
    expect([...bytes]).toEqual([1, 2, 3])
    await expect(file.read(1001, new Uint8Array(3))).rejects.toThrow(/ends/)
    await file.close()
  })
})
