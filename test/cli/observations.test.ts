/** The two steps of `gpfq layer`, observe and solve, against the one step; and what `gpfq inspect` says of the files. */
import { readFileSync, writeFileSync } from 'node:fs'
import { beforeAll, describe, expect, it } from 'vitest'
import { formatNpy } from '#src/data/npy.js'
import { createQuantizer } from '#src/index.js'
import { merge, Observations } from '#src/methods/observations.js'
import { entryAt } from '#src/methods/panelMatrix.js'
import { solutionBytes } from '#src/methods/solutionBytes.js'
import { gpfq, temporaryFolder } from './run.js'

const at = temporaryFolder()

const INPUTS = 20
const NEURONS = 6
const SEGMENT = 4096
const ROWS = 3 * SEGMENT + 500

/** Deterministic values in (−1, 1). */
const noise = (length: number, seed: number) =>
  Float32Array.from({ length }, (_, i) => (((i + 1) * (seed + 0.618034) * 7919.7) % 2) - 1)

const weights = noise(INPUTS * NEURONS, 1)
const x = noise(ROWS * INPUTS, 2)
const xq = x.map((value, i) => value + 0.1 * Math.sin(i))

function write(name: string, values: Float32Array, columns: number): string {
  writeFileSync(
    at(name),
    formatNpy({ type: 'float32', dims: [values.length / columns, columns], data: values }),
  )
  return at(name)
}

const rowsOf = (values: Float32Array, from: number, to: number) => values.subarray(from * INPUTS, to * INPUTS)

async function run(...args: string[]) {
  const result = await gpfq(['layer', '--threads', '1', '--force', ...args])
  expect(result.code, result.stderr).toBe(0)
  return result
}

/** Observes rows, and returns the file. */
async function observe(name: string, from: number, to: number, differ: boolean): Promise<string> {
  const samples = ['--inputs', write(`${name}-x.npy`, rowsOf(x, from, to), INPUTS)]
  const quantized = ['--quantized-inputs', write(`${name}-xq.npy`, rowsOf(xq, from, to), INPUTS)]
  await run(...samples, ...(differ ? quantized : []), '--observe', at(name), '--quiet')
  return at(name)
}

const PIECES: readonly (readonly number[])[] = [
  [0, ROWS],
  [0, SEGMENT, ROWS],
  [0, SEGMENT, 3 * SEGMENT, ROWS],
]

/** The file of rows `from` to `to`, as `beforeAll` writes it. */
const part = (differ: boolean, from: number, to: number) => `${differ ? 'differ' : 'equal'}-${from}-${to}.obs`

beforeAll(async () => {
  write('W.npy', weights, NEURONS)
  write('X.npy', x, INPUTS)
  write('XQ.npy', xq, INPUTS)
  for (const differ of [false, true]) {
    for (const cuts of PIECES) {
      for (const [i, from] of cuts.slice(0, -1).entries()) {
        await observe(part(differ, from, cuts[i + 1]!), from, cuts[i + 1]!, differ)
      }
    }
  }
})

const filesOf = (differ: boolean, cuts: readonly number[]): string[] =>
  cuts.slice(0, -1).map((from, i) => at(part(differ, from, cuts[i + 1]!)))

describe('gpfq layer in two steps', () => {
  it.each([
    [[]],
    [['--radius', 'max', '--levels', '3']],
    [['--method', 'qronos', '--scale-per', 'group:7']],
    [['--preset', 'best', '--bits', '2']],
  ])('writes the bytes of one step, whatever the pieces, with %j', async (method) => {
    for (const differ of [false, true]) {
      const samples = ['--inputs', at('X.npy'), ...(differ ? ['--quantized-inputs', at('XQ.npy')] : [])]
      const out = (name: string) => ['-o', at(`${name}.npy`), '--scales', at(`${name}-s.npy`), ...method]
      await run('--weights', at('W.npy'), ...samples, ...out('one'))
      for (const cuts of PIECES) {
        const files = filesOf(differ, cuts)
        const { stderr } = await run('--weights', at('W.npy'), '--observations', ...files, ...out('two'))
        expect(stderr).not.toContain('note:')
        for (const suffix of ['', '-s'])
          expect(readFileSync(at(`two${suffix}.npy`))).toEqual(readFileSync(at(`one${suffix}.npy`)))
      }
    }
  })

  it('adds up parts that all begin later to the bits of one observation', async () => {
    await using quantizer = await createQuantizer({ threads: 1 })
    const observer = await quantizer.observe({ inputs: INPUTS })
    await observer.add(x, xq)
    const { values } = (await observer.observations()).total()
    for (const cuts of PIECES) {
      const parts = filesOf(true, cuts).map((file) => Observations.from(readFileSync(file)))
      expect(parts.map(({ first }) => first)).toEqual(parts.map(() => false))
      const merged = parts.reduce(merge)
      expect(merged).toMatchObject({ rows: ROWS, first: false, exact: true })
      expect(merged.total().values).toEqual(values)
      expect(Observations.from(merged.bytes).total().values).toEqual(values)
      const behindNone = parts.reduce(merge, new Observations(merged.shape, 0, true, true, []))
      expect(Observations.from(behindNone.bytes)).toMatchObject({ rows: ROWS, first: true, exact: true })
      expect(behindNone.total().values).toEqual(values)
    }
  })

  it('says where last bits can differ, and sums right all the same', async () => {
    const [a, b] = [await observe('a.obs', 0, 5000, true), await observe('b.obs', 5000, ROWS, true)]
    const { stderr } = await run('--weights', at('W.npy'), '--observations', a, b, '-o', at('cut.npy'))
    expect(stderr).toMatch(
      /note: .*a\.obs: its rows are not whole segments of 4096; the total is right, but its last bits can differ/,
    )
    const merged = [a, b].map((file) => Observations.from(readFileSync(file))).reduce(merge)
    expect(merged.exact).toBe(false)
    expect(Observations.from(merged.bytes)).toEqual(merged)
    const { values } = merged.total()
    const layout = { groups: 1, inputs: INPUTS, triangular: true }
    for (let i = 0; i < INPUTS; i++) {
      for (let s = 0; s <= i; s++) {
        let sum = 0
        let scale = 0
        for (let r = 0; r < ROWS; r++) {
          const product = xq[r * INPUTS + i]! * xq[r * INPUTS + s]!
          sum += product
          scale += Math.abs(product)
        }
        expect(Math.abs(values[entryAt(layout, 0, i, s)]! - sum)).toBeLessThan(1e-5 * scale)
      }
    }
  })

  it('reports what was observed', async () => {
    const { stdout } = await run('--inputs', at('X.npy'), '--observe', at('r.obs'), '--json')
    const document = JSON.parse(stdout)
    expect(Object.keys(document)).toEqual(['rows', 'bytes', 'seconds', 'threads'])
    expect(document).toMatchObject({ rows: ROWS, bytes: readFileSync(at('r.obs')).length, threads: 1 })
    const solved = await run(
      '--weights',
      at('W.npy'),
      '--observations',
      at('r.obs'),
      '-o',
      at('r.npy'),
      '--json',
    )
    expect(JSON.parse(solved.stdout)).toMatchObject({ relativeError: null, threads: 1 })
  })
})

describe('options of gpfq layer', () => {
  const solve = ['--weights', 'W.npy', '--observations', 'a.obs', '-o', 'c.npy']
  it.each([
    [['--weights', 'W.npy', '-o', 'c.npy'], '--inputs X.npy: expected samples, or --observations, got none'],
    [
      ['--inputs', 'X.npy', '-o', 'c.npy'],
      '--weights W.npy: expected the weights of the layer, or --observe, got none',
    ],
    [['--weights', 'W.npy', '--inputs', 'X.npy'], '-o CODES.npy: expected a file to write, got none'],
    [[...solve, '--inputs', 'X.npy'], '--inputs: expected none beside --observations'],
    [[...solve, '--quantized-inputs', 'X.npy'], '--quantized-inputs: expected none beside --observations'],
    [[...solve, '--method', 'msq', '--preprocess'], '--preprocess: expected --inputs'],
    [['--observe', 'a.obs'], '--inputs X.npy: expected samples to observe, got none'],
    [
      ['--observe', 'a.obs', '--inputs', 'X.npy', '--weights', 'W.npy'],
      '--weights: expected none together with --observe',
    ],
    [
      ['--observe', 'a.obs', '--inputs', 'X.npy', '--scale-per', 'layer'],
      '--scale-per: expected none together with --observe',
    ],
    [
      ['--observe', 'a.obs', '--inputs', 'X.npy', '--no-act-order'],
      '--act-order: expected none together with --observe',
    ],
    [['--observe', 'a.obs', '--inputs', 'X.npy', '-o', 'c.npy'], '-o: expected none together with --observe'],
    [
      ['--observe', 'a.obs', '--observations', 'b.obs'],
      '--observations: expected none together with --observe',
    ],
    [['--observe', 'X.npy', '--inputs', 'X.npy'], '--observe X.npy: expected another file than --inputs'],
    [
      ['--weights', 'W.npy', '--observations', 'a.obs', '-o', 'a.obs', '--force'],
      '-o a.obs: expected another file than --observations',
    ],
  ])('that make no sense together are refused in a sentence: %j', async (args, message) => {
    const { code, stdout, stderr } = await gpfq(['layer', ...args])
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toContain(`error: ${message}`)
    expect(stderr.split('\n')).toHaveLength(2)
  })
})

describe('files that are no observations, or do not fit', () => {
  async function refused(files: readonly string[]): Promise<string> {
    const { code, stderr } = await gpfq([
      ...['layer', '--weights', at('W.npy'), '-o', at('never.npy'), '--observations', ...files],
    ])
    expect(code).toBe(1)
    expect(stderr).toMatch(/^(gpfq layer.*\n)?error: [^\n]*\n$/)
    return stderr
  }
  const whole = () => at(part(false, 0, ROWS))

  it('are refused by name', async () => {
    const bytes = new Uint8Array(readFileSync(whole()))
    const save = (name: string, contents: Uint8Array): string => {
      writeFileSync(at(name), contents)
      return at(name)
    }
    expect(await refused([at('none.obs')])).toMatch(/none\.obs: expected a readable file, got nothing there/)
    expect(await refused([at('X.npy')])).toMatch(
      /X\.npy: expected observations of gpfq, got \d+ bytes of something/,
    )
    expect(await refused([save('empty.obs', new Uint8Array(0))])).toMatch(
      /empty\.obs: expected observations of gpfq/,
    )
    for (const length of [40, 64, 200, bytes.length - 64])
      expect(await refused([save('short.obs', bytes.subarray(0, length))])).toMatch(/short\.obs: expected /)
    const flipped = bytes.slice()
    flipped[bytes.length - 100]! ^= 1
    expect(await refused([save('flip.obs', flipped)])).toMatch(/flip\.obs: .*damaged or truncated/)
    const version = bytes.slice()
    version[8] = 9
    expect(await refused([save('v.obs', version)])).toMatch(
      /v\.obs: expected observations of version 1, got version 9/,
    )
  })

  it('that do not go together or with the weights are refused by name', async () => {
    const differing = at(part(true, SEGMENT, ROWS))
    expect(await refused([at(part(false, 0, SEGMENT)), differing])).toMatch(
      /differ-4096-12788\.obs: expected a part observed without --quantized-inputs like those before it, got a part observed with --quantized-inputs/,
    )
    write('narrow.npy', x.subarray(0, 19 * 300), 19)
    await run('--inputs', at('narrow.npy'), '--observe', at('narrow.obs'))
    expect(await refused([at(part(false, 0, SEGMENT)), at('narrow.obs')])).toMatch(
      /narrow\.obs: observations, inputs: expected 20 in every part, got 19/,
    )
    expect(await refused([at('narrow.obs')])).toMatch(
      /W\.npy: expected \(19, K\) to go with the observations, got shape \(20, 6\)/,
    )
    const bad = x.slice(0, 40 * INPUTS)
    bad[77] = Number.NaN
    write('nan.npy', bad, INPUTS)
    const { code, stderr } = await gpfq(['layer', '--inputs', at('nan.npy'), '--observe', at('nan.obs')])
    expect(code).toBe(1)
    expect(stderr).toMatch(/error: .*nan\.npy: expected finite/)
  })
})

describe('gpfq inspect', () => {
  it('describes observations', async () => {
    const file = at(part(true, SEGMENT, ROWS))
    const { stdout } = await gpfq(['inspect', file, '--json'])
    expect(JSON.parse(stdout)).toEqual({
      observations: file,
      bytes: readFileSync(file).length,
      kind: 'gram',
      inputs: INPUTS,
      groups: 1,
      rows: ROWS - SEGMENT,
      segmentRows: SEGMENT,
      segments: 3,
      quantized: true,
      wholeG: true,
      means: false,
      weighted: false,
      correlations: false,
      first: false,
      exact: true,
    })
    const text = (await gpfq(['inspect', file])).stdout
    expect(text).toMatch(/^inputs +20$/m)
    expect(text).toMatch(/^rows +8692, 3 segments of 4096, the last one not whole$/m)
    expect(text).toMatch(/Xq ≠ X/)
    expect((await gpfq(['inspect', at(part(false, 0, SEGMENT))])).stdout).toMatch(/^samples +Xq = X$/m)
  })

  it('refuses another container', async () => {
    const shape = { groups: 1, inputs: 2, neurons: 1, levels: 3, blockSize: 2, zero: 1 }
    const solution = { ...shape, codes: new Uint8Array([0, 2]), scales: new Float32Array([1]) }
    writeFileSync(at('s.sol'), solutionBytes(solution))
    const { code, stderr } = await gpfq(['inspect', at('s.sol')])
    expect(code).toBe(1)
    expect(stderr).toMatch(/s\.sol: expected observations of gpfq, got \d+ bytes of something else/)
  })
})
