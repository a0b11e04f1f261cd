/**
 * The command on two workers with one fault each, in the middle of the run: the file has the bytes of one machine, if need be after
 * the same command again. `npm run cluster` does it at random moments of a larger model.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { formatNpy } from '#src/data/npy.js'
import { encodeModel } from '#src/onnx/model.js'
import { FAULTS, runWithFault } from '../../scripts/cluster/faults.js'
import { alone, withMachines } from '../../scripts/cluster/machines.js'
import { feedOf } from '../model/feeds.js'
import * as b from '../onnx/build.js'
import { randomFrom } from '../random.js'
import { buildWorker, hasRedis } from './machines.js'

const [DEPTH, WIDTH] = [6, 48]

describe.skipIf(!hasRedis)('faults of a cluster (needs redis-server)', () => {
  const folder = mkdtempSync(join(tmpdir(), 'gpfq-faults-'))
  const at = (name: string) => join(folder, name)
  const args = [at('deep.onnx'), '--calib', at('x.npy')]
  let expected: string | null
  let jobs: number

  beforeAll(async () => {
    const layers = Array.from({ length: DEPTH }, (_, i) => [
      b.node('MatMul', [`h${i}`, `w${i}`], [`m${i}`], {}, `layer ${i}`),
      b.node('Relu', [`m${i}`], [`h${i + 1}`]),
    ])
    const weights = layers.map((_, i) => b.noisy(`w${i}`, [WIDTH, WIDTH], i + 1))
    const input = b.value('h0', b.DataType.FLOAT, ['n', WIDTH])
    writeFileSync(at('deep.onnx'), encodeModel(b.model(layers.flat(), weights, [input], [`h${DEPTH}`])))
    writeFileSync(at('x.npy'), formatNpy(feedOf([600, WIDTH], 3)))
    await buildWorker()
    expected = (await alone(args, 1)).sha256
    jobs = await withMachines(2, false, async (machines) => {
      expect((await machines.quantize(args)).sha256).toBe(expected)
      return machines.taken
    })
  })

  afterAll(() => rmSync(folder, { recursive: true }))

  const random = randomFrom(1)

  it.each(FAULTS)('%s', async (fault) => {
    const moment = { jobs: 1 + Math.floor((random() * jobs) / 2), more: 20 * random() }
    const { inTime, said, sha256 } = await runWithFault(args, fault, moment, random)
    expect({ inTime, sha256 }).toEqual({ inTime: true, sha256: expected })
    // The run either ends in our own words, on one line, or waits for room.
    for (const text of said) expect(text).toMatch(/^error: [^\n]*: Redis is full; make room; [^\n]*$/)
    if (fault !== 'the store is full') expect(said).toEqual([])
  })
})
