/**
 * fastMath: the fallback to the standard kernels, and codes that are close to theirs. Node 20 has relaxed SIMD only
 * behind a flag, so each test runs in a child process; test:everywhere covers the runtimes that have it without a flag.
 */
import { execFileSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'

/** Quantizes a layer with and without fastMath, and prints both results. */
const SCRIPT = `
const { createQuantizer } = await import('gpfq')
const next = (seed => () => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) / 2 ** 32)(7)
const values = (length) => Float32Array.from({ length }, () => next() - 0.4)
const problem = { weights: values(96 * 24), inputs: 96, neurons: 24, samples: values(600 * 96) }
const results = []
for (const fastMath of [false, true]) {
  const quantizer = await createQuantizer({ threads: 2, fastMath })
  const { codes, relativeError } = await quantizer.quantizeLayer(problem)
  results.push({ fastMath: quantizer.fastMath, codes: [...codes], relativeError })
  await quantizer.close()
}
console.log(JSON.stringify(results))
`

interface Said {
  readonly fastMath: boolean
  readonly codes: readonly number[]
  readonly relativeError: number
}

/** Simulates a faulty runtime: compiles every relaxed a·b + c as c − a·b. */
const FAULT = `
const compile = WebAssembly.compile
WebAssembly.compile = (bytes) => {
  const faulty = Uint8Array.from(bytes)
  for (let i = 0; i + 2 < faulty.length; i++)
    if (faulty[i] === 0xfd && faulty[i + 1] === 0x85 && faulty[i + 2] === 0x02) faulty[i + 1] = 0x86
  return compile(faulty)
}
`

function quantizeWith(flags: readonly string[], before = ''): readonly [standard: Said, fast: Said] {
  const args = [...flags, '--input-type=module', '--eval', before + SCRIPT]
  return JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8' })) as [Said, Said]
}

/** Flags that enable relaxed SIMD in this version of Node. */
const FLAGS = Number(process.versions.node.split('.')[0]) < 22 ? ['--experimental-wasm-relaxed-simd'] : []

describe('fastMath', () => {
  it('falls back silently to the standard kernels in a runtime without relaxed SIMD', ({ skip }) => {
    skip(FLAGS.length === 0, 'this Node has relaxed SIMD: see test:everywhere')
    const [standard, fast] = quantizeWith([])
    expect(standard.fastMath).toBe(false)
    expect(fast).toEqual(standard)
  })

  it('is as accurate as the standard kernels where the runtime has relaxed SIMD', () => {
    const [standard, fast] = quantizeWith(FLAGS)
    expect([standard.fastMath, fast.fastMath]).toEqual([false, true])
    const equal = fast.codes.filter((code, i) => code === standard.codes[i]).length
    expect(equal / fast.codes.length).toBeGreaterThan(0.97)
    expect(Math.abs(fast.relativeError / standard.relativeError - 1)).toBeLessThan(1e-3)
  })

  it('falls back to the standard kernels in a runtime that computes relaxed SIMD wrongly', () => {
    const [standard, fast] = quantizeWith(FLAGS, FAULT)
    expect(fast).toEqual(standard)
  })
})
