/** The arena: a stack of aligned regions over a shared memory that grows, and says what it would need when it cannot. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CONTROL_BYTES } from '#src/engine/job.js'
import { GpfqError } from '#src/errors.js'
import { Arena } from '#src/wasm/arena.js'

const memoryOf = (maximum: number): WebAssembly.Memory =>
  new WebAssembly.Memory({ initial: 1, maximum, shared: true })

describe('allocate', () => {
  it('gives aligned regions that overlap neither each other nor the control block', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(5000), { maxLength: 40 }), (sizes) => {
        const memory = memoryOf(64)
        const arena = new Arena(memory)
        let end = CONTROL_BYTES
        for (const bytes of sizes) {
          const at = arena.allocate(bytes)
          expect(at % 64).toBe(0)
          expect(at).toBeGreaterThanOrEqual(end)
          end = at + bytes
          expect(memory.buffer.byteLength).toBeGreaterThanOrEqual(end)
        }
      }),
      { seed: 17, numRuns: 50 },
    )
  })

  it('grows the memory to what is needed and keeps what was written', () => {
    const memory = memoryOf(100)
    const arena = new Arena(memory)
    const first = arena.allocate(12)
    arena.floats(first, 3).set([1, 2, 3])
    const second = arena.allocate(40 * 65536)
    expect(memory.buffer.byteLength).toBe(42 * 65536)
    arena.bytes(second, 40 * 65536).fill(9)
    expect([...arena.floats(first, 3)]).toEqual([1, 2, 3])
  })

  it('reaches up to 4 GiB, and no further', () => {
    const arena = new Arena(memoryOf(1))
    expect(arena.mark()).toBe(CONTROL_BYTES)
    expect(() => arena.allocate(2 ** 32)).toThrow(/it needs 4097 MiB, which the system does not grant/)
  })

  it('says what it needs when the system does not grant it, and stays usable', () => {
    const arena = new Arena(memoryOf(16))
    const mark = arena.mark()
    let error: unknown
    try {
      arena.allocate(500 * 2 ** 20)
    } catch (caught) {
      error = caught
    }
    expect(error).toBeInstanceOf(GpfqError)
    expect(error).toMatchObject({ code: 'OUT_OF_MEMORY', message: expect.stringContaining('501 MiB') })
    expect((error as GpfqError).cause).toBeInstanceOf(RangeError)
    expect(arena.mark()).toBe(mark)
    arena.bytes(arena.allocate(100), 100).fill(1)
  })
})

describe('release', () => {
  it('gives back all room since the mark; the peak remembers', () => {
    const arena = new Arena(memoryOf(64))
    arena.allocate(100)
    const mark = arena.mark()
    const inner = arena.allocate(1000)
    arena.allocate(3000)
    const peak = arena.peak
    expect(peak).toBeGreaterThanOrEqual(CONTROL_BYTES + 4100)
    arena.release(mark)
    expect(arena.mark()).toBe(mark)
    expect(arena.allocate(10)).toBe(inner)
    expect(arena.peak).toBe(peak)
  })
})

describe('views', () => {
  it('look at the same bytes in every type', () => {
    const arena = new Arena(memoryOf(4))
    const at = arena.allocate(16)
    arena.doubles(at, 2).set([1, -2])
    expect([...arena.words(at, 4)]).toEqual([0, 0x3ff00000, 0, 0xc0000000])
    expect(arena.bytes(at + 8, 8)[7]).toBe(0xc0)
    expect(arena.floats(at + 4, 1)[0]).toBe(1.875)
  })
})
