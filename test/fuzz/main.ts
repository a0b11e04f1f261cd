/** `npm run fuzz -- [--inputs N] [--seed S] [--target NAME]`: a million inputs for each target by default. */
import { parseArgs } from 'node:util'
import { fuzz } from './fuzz.js'
import { TARGETS } from './targets.js'

const { values } = parseArgs({
  options: {
    inputs: { type: 'string', default: '1000000' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
    target: { type: 'string' },
  },
})

const PIECE = 10_000

for (const target of TARGETS) {
  if (values.target !== undefined && values.target !== target.name) continue
  let succeeded = 0
  for (let done = 0; done < Number(values.inputs); done += PIECE) {
    const inputs = Math.min(PIECE, Number(values.inputs) - done)
    const seed = (Number(values.seed) + done / PIECE) | 0
    succeeded += (await fuzz(target, { inputs, seed, counted: 0.1 })).succeeded
    console.log(`${target.name}: ${done + inputs} inputs, ${succeeded} read, up to seed ${seed}`)
  }
}
