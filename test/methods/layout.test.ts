/** Layouts of memory: regions of one step never overlap, and no layout is larger than the sum of its regions. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { allocate, layOut } from '#src/methods/layout.js'
import { Arena } from '#src/wasm/arena.js'

const needs = fc.dictionary(
  fc.string({ minLength: 1, maxLength: 8 }).filter((name) => name !== '__proto__'),
  fc.oneof(
    fc.nat({ max: 5000 }),
    fc
      .record({ bytes: fc.nat({ max: 5000 }), from: fc.nat({ max: 3 }), more: fc.nat({ max: 3 }) })
      .map(({ bytes, from, more }) => ({ bytes, from, to: from + more })),
  ),
  { maxKeys: 20 },
)

describe('layOut', () => {
  it('gives regions of one step memory of their own, aligned to cache lines', () => {
    fc.assert(
      fc.property(needs, (wanted) => {
        const { regions, bytes } = layOut(wanted)
        const all = Object.entries(regions)
        expect(all.map(([name]) => name).sort()).toEqual(Object.keys(wanted).sort())
        for (const [name, a] of all) {
          expect(a.offset % 64).toBe(0)
          expect(a.offset + a.bytes).toBeLessThanOrEqual(bytes)
          for (const [other, b] of all) {
            if (name === other || a.from > b.to || b.from > a.to) continue
            expect(a.offset + a.bytes <= b.offset || b.offset + b.bytes <= a.offset).toBe(true)
          }
        }
        const oneByOne = all.reduce((sum, [, region]) => sum + Math.ceil(region.bytes / 64) * 64, 0)
        expect(bytes).toBeLessThanOrEqual(oneByOne)
      }),
      { seed: 231, numRuns: 300 },
    )
  })

  it('shares memory between regions of different steps', () => {
    const { bytes } = layOut({
      a: { bytes: 6400, from: 0, to: 0 },
      b: { bytes: 6400, from: 1, to: 2 },
      c: 64,
    })
    expect(bytes).toBe(6464)
  })

  it('gives memory by name', () => {
    const memory = new WebAssembly.Memory({ initial: 2, maximum: 10, shared: true })
    const arena = new Arena(memory)
    const start = arena.mark()
    const layout = layOut({ one: 100, two: 50 })
    const regions = allocate(arena, layout)
    expect(arena.mark() - start).toBeLessThanOrEqual(Math.ceil(layout.bytes / 64) * 64)
    expect(new Set([regions.at('one'), regions.at('two')]).size).toBe(2)
    expect(regions.bytes('two')).toBe(50)
    expect(() => regions.at('three')).toThrow(/no region is called 'three'/)
  })
})
