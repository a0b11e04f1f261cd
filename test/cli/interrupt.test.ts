/** Ctrl-C while ONNX Runtime computes: the process does not wait for the end of the run, which would take minutes. */
import { writeFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { formatNpy } from '#src/data/npy.js'
import { longModel } from '../calibration/longModel.js'
import { gpfq, temporaryFolder } from './run.js'

const at = temporaryFolder()

it.each([
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)(
  '%s ends a process that is in the middle of a run with %i',
  async (signal, code) => {
    const { model, feeds } = longModel(1000)
    writeFileSync(at('long.onnx'), model)
    writeFileSync(at('x.npy'), formatNpy(feeds.x!))
    writeFileSync(at('labels.npy'), formatNpy({ type: 'int32', dims: [1200], data: new Int32Array(1200) }))
    const args = ['eval', at('long.onnx'), '--data', at('x.npy'), '--labels', at('labels.npy')]
    const run = await gpfq(args, { signal, interruptOn: /gpfq eval: .*samples/, interruptAfter: 1000 })
    expect(run.stderr).toMatch(/interrupted: no output was written\n$/)
    expect(run).toMatchObject({ code, stdout: '' })
  },
  60_000,
)
