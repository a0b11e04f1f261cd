/**
 * The command in processes that are killed by SIGKILL: the same command again gives the bytes of a run without interruption, and
 * finished layers stay as they are. `npm run resume` does it on large models.
 */
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { formatNpy } from '#src/data/npy.js'
import { encodeModel } from '#src/onnx/model.js'
import { heldIn, killAndResume, type Outcome, run } from '../../../scripts/killed.js'
import * as b from '../../onnx/build.js'
import { randomFrom } from '../../random.js'
import { feedOf } from '../feeds.js'

const folder = mkdtempSync(join(tmpdir(), 'gpfq-kill-'))
afterAll(() => rmSync(folder, { recursive: true }))
const at = (name: string) => join(folder, name)

const DEPTH = 10
const WIDTH = 48

const command = {
  main: fileURLToPath(new URL('../../../dist/src/cli/main.js', import.meta.url)),
  args: [at('deep.onnx'), '--calib', at('x.npy'), '--threads', '1'],
  output: at('out.onnx'),
}
let expected: Outcome

beforeAll(async () => {
  const layers = Array.from({ length: DEPTH }, (_, i) => [
    b.node('MatMul', [`h${i}`, `w${i}`], [`m${i}`], {}, `layer ${i}`),
    b.node('Relu', [`m${i}`], [`h${i + 1}`]),
  ])
  const weights = layers.map((_, i) => b.noisy(`w${i}`, [WIDTH, WIDTH], i + 1))
  const model = b.model(
    layers.flat(),
    weights,
    [b.value('h0', b.DataType.FLOAT, ['n', WIDTH])],
    [`h${DEPTH}`],
  )
  writeFileSync(at('deep.onnx'), encodeModel(model))
  writeFileSync(at('x.npy'), formatNpy(feedOf([600, WIDTH], 3)))
  expected = await run(command)
})

/** Resolves when so many layers are in the folder, and some milliseconds later. */
const whenDone = (checkpoint: string, layers: number, more: number) => async (): Promise<void> => {
  const count = (): number => {
    const own = join(checkpoint, 'layers')
    return existsSync(own) ? readdirSync(own).filter((name) => name.endsWith('.gpfq')).length : 0
  }
  while (count() < layers) await delay(1)
  await delay(more)
}

const random = randomFrom(1)
const MOMENTS = Array.from({ length: 5 }, (_, i) => [2 * i, 15 * random()] as const)

it.each(MOMENTS)('killed with %i layers in the folder, and %f ms later', async (layers, more) => {
  const checkpoint = at(`run${layers}`)
  const loss = await killAndResume({ ...command, checkpoint }, whenDone(checkpoint, layers, more))
  expect(loss.resumed.sha256).toBe(expected.sha256)
  expect(loss).toMatchObject({ stages: DEPTH, again: 0 })
  expect(loss.finished).toBeGreaterThanOrEqual(layers)
  expect((await heldIn(checkpoint)).finished).toBe(DEPTH)
})

it('two processes at once in one folder give the same bytes', async () => {
  const checkpoint = at('both')
  const both = ['one.onnx', 'two.onnx'].map((name) => run({ ...command, output: at(name), checkpoint }))
  for (const { sha256 } of await Promise.all(both)) expect(sha256).toBe(expected.sha256)
  const third = await run({ ...command, checkpoint })
  expect(third.sha256).toBe(expected.sha256)
})
