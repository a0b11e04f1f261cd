/**
 * assembly/fork.ts at the kernel: the result does not depend on groups, tiles and workers, and every scale is one of
 * the fractions of the largest. test/methods/fork.test.ts compares scales and codes with the float64 path.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { GRID } from '#src/methods/alphabet.js'
import { substitute, substituteScratch } from '#src/wasm/kernels.js'
import { gramPanels, panelsOf } from './layout.js'
import { Machine } from './machine.js'
import { layOut, type PathCase, type PathProblem, pathCases, pathProblem } from './paths.js'

const machine = await Machine.create()

interface Outcome {
  readonly codes: Uint8Array
  readonly scales: Float32Array // [group][neuron panel][block][8]
}

function run(c: PathCase, p: PathProblem, follow: boolean, step: number, workers: number): Outcome {
  const { args, columns } = layOut(machine, c, p)
  const codes = machine.bytes(columns * args.panels * 64)
  const task = substitute({
    ...args,
    g: machine.floats(gramPanels(p.g, args.panels, false)).at,
    codes: codes.at,
    errors: 0,
    scratch: machine.bytes(workers * substituteScratch(args.panels, 2)).at,
    follow,
    strip: 2,
  })
  machine.run({ ...task, step }, { seed: c.seed, workers })
  const length = columns * args.scaleBlocks * 8
  const scales = new Float32Array(codes.values.buffer, args.scales, length).slice()
  return { codes: codes.values.slice(), scales }
}

/** The arguments of one group alone. */
const onlyGroup = (p: PathProblem, group: number): PathProblem => ({
  h: [p.h[group]!],
  g: [p.g[group]!],
  weights: [p.weights[group]!],
  scaleOf: (_, ...rest) => p.scaleOf(group, ...rest),
})

const cases = pathCases.map((c) => ({ ...c, candidates: 1 }))

describe('the path that forks', () => {
  it('chooses among the fractions, the same for a group alone and in every tile', () => {
    fc.assert(
      fc.property(cases, fc.boolean(), (c, follow) => {
        const p = pathProblem(c)
        const all = run(c, p, follow, 1, 1)
        for (const [step, workers] of [
          [2, 2],
          [3, 1],
          [100, 3],
        ] as const)
          expect(run(c, p, follow, step, workers)).toEqual(all)
        const parts = p.h.map((_, group) => run({ ...c, groups: 1 }, onlyGroup(p, group), follow, 1, 1))
        expect(parts.flatMap(({ codes }) => [...codes])).toEqual([...all.codes])
        expect(parts.flatMap(({ scales }) => [...scales])).toEqual([...all.scales])
        const blocks = Math.ceil(c.inputs / c.blockSize)
        for (let group = 0; group < c.groups; group++) {
          for (let block = 0; block < blocks; block++) {
            for (let k = 0; k < c.neurons; k++) {
              const panel = group * panelsOf(c.neurons) + (k >> 3)
              const scale = all.scales[(panel * blocks + block) * 8 + (k & 7)]!
              const most = p.scaleOf(group, 0, block, k)
              expect(GRID.map((fraction) => Math.fround(most * fraction))).toContain(scale)
            }
          }
        }
      }),
      { seed: 12, numRuns: 30 },
    )
  })
})
