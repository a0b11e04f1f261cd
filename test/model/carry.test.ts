/** States carried along sequences that run side by side, against each sequence stepped alone by hand. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createOrtWebRunner } from '#src/calibration/onnxRuntime.js'
import type { Runner, RunnerSession } from '#src/calibration/runner.js'
import { type Carry, carryStates } from '#src/model/carry.js'
import { compareModels } from '#src/model/compare.js'
import { evaluate } from '#src/model/evaluate.js'
import { quantizeModel } from '#src/model/quantizeModel.js'
import type { Feeds, Tensor } from '#src/tensor/tensor.js'
import * as b from '../onnx/build.js'
import { HIDDEN, recurrent, stepByHand, WIDTH } from './recurrent.js'

const model = recurrent()
const other = recurrent('N', 9)
/** Three sequences of 5, 2 and 4 steps, and the state that the second begins with. */
const LENGTHS = [5, 2, 4]
const sequences = LENGTHS.map((length, i) => b.noise(length * WIDTH, 30 + i))
const STARTS = [0, 0.5, 0].map((value) => new Float32Array(2 * HIDDEN).fill(value))
const carry: Carry = {
  states: { stateN: 'state' },
  axes: { state: 1 },
  // The third sequence begins later than the others, in the middle of a batch.
  sequences: [[0, 1], [0, 2, 1], [2, 0], [0, 2], [0], [2]],
}

/** The batches of `carry`; states of later steps are nonsense that must not be read. */
function batches(): Feeds[] {
  const done = [0, 0, 0]
  return carry.sequences.map((rows) => {
    const x = new Float32Array(rows.length * WIDTH)
    const state = new Float32Array(2 * rows.length * HIDDEN)
    for (const [row, sequence] of rows.entries()) {
      const step = done[sequence]!++
      x.set(sequences[sequence]!.subarray(step * WIDTH, (step + 1) * WIDTH), row * WIDTH)
      for (const layer of [0, 1])
        state.fill(
          step === 0 ? STARTS[sequence]![0]! : 99,
          (layer * rows.length + row) * HIDDEN,
          (layer * rows.length + row + 1) * HIDDEN,
        )
    }
    return {
      x: { type: 'float32', dims: [rows.length, WIDTH], data: x },
      state: { type: 'float32', dims: [2, rows.length, HIDDEN], data: state },
    }
  })
}

/** Rows of the batches by sequence and step: [sequence, step] for each sample. */
function places(): [sequence: number, step: number][] {
  const done = [0, 0, 0]
  return carry.sequences.flat().map((sequence) => [sequence, done[sequence]!++])
}

let runner: Runner
let session: RunnerSession
let byHand: Awaited<ReturnType<typeof stepByHand>>[]
beforeAll(async () => {
  runner = await createOrtWebRunner({ threads: 1 })
  session = await runner.load(model)
  byHand = []
  for (const [i, steps] of sequences.entries()) byHand.push(await stepByHand(session, steps, STARTS[i]!))
})
afterAll(() => session.close())

async function collected(iterable: AsyncIterable<Feeds>): Promise<Feeds[]> {
  const found: Feeds[] = []
  for await (const batch of iterable) found.push(batch)
  return found
}

/** One sample of a state (2, N, HIDDEN). */
const stateOf = ({ dims, data }: Tensor, sample: number): number[] =>
  [0, 1].flatMap((layer) => {
    const at = (layer * (dims[1] ?? 0) + sample) * HIDDEN
    return Array.from(data.subarray(at, at + HIDDEN), Number)
  })

const close = (found: readonly number[], expected: ArrayLike<number | bigint>): void => {
  expect(found).toHaveLength(expected.length)
  for (const [i, value] of found.entries()) expect(value).toBeCloseTo(Number(expected[i]), 5)
}

describe('carryStates', () => {
  it('fills in what the model gave at the step before, of each sequence', async () => {
    const found = await collected(carryStates({ runner, model, feeds: batches(), carry }))
    expect(found.map(({ x }) => x)).toEqual(batches().map(({ x }) => x))
    expect(found.map(({ state }) => state?.dims)).toEqual(
      carry.sequences.map(({ length }) => [2, length, HIDDEN]),
    )
    const states = found.flatMap(({ state, x }) =>
      Array.from({ length: x!.dims[0]! }, (_, i) => stateOf(state!, i)),
    )
    for (const [i, [sequence, step]] of places().entries()) close(states[i]!, byHand[sequence]!.states[step]!)
  })

  it('needs no axis and no state beyond the first step where batches are of one sample', async () => {
    const own: Carry = { states: carry.states, sequences: LENGTHS.flatMap((n, i) => Array(n).fill([i])) }
    const feeds = sequences.flatMap((steps, i) =>
      Array.from({ length: LENGTHS[i]! }, (_, step): Feeds => {
        const x: Tensor = {
          type: 'float32',
          dims: [1, WIDTH],
          data: steps.slice(step * WIDTH, (step + 1) * WIDTH),
        }
        return step > 0 ? { x } : { x, state: { type: 'float32', dims: [2, 1, HIDDEN], data: STARTS[i]! } }
      }),
    )
    const found = await collected(carryStates({ runner, model: recurrent(1), feeds, carry: own }))
    const expected = byHand.flatMap(({ states }) => states)
    for (const [i, { state }] of found.entries()) close(Array.from(state!.data, Number), expected[i]!)
    expect(found).toHaveLength(11)
  })

  it('takes a dimension of −1 as open, as exporters write one that they do not know', async () => {
    const open = recurrent(-1)
    const own = await runner.load(open)
    expect(own.inputs.map(({ dims }) => dims)).toEqual([
      [null, WIDTH],
      [2, null, HIDDEN],
    ])
    await own.close()
    const found = await collected(carryStates({ runner, model: open, feeds: batches(), carry }))
    expect(found).toHaveLength(carry.sequences.length)
  })

  it('makes calibration samples as any others: the same bytes as of states that are given', async () => {
    const options = { runner, threads: 1, levels: 7 }
    const carried = carryStates({ runner, model, feeds: batches(), carry })
    const given = await collected(carried)
    const first = await quantizeModel(model, { ...options, calibration: carried })
    const second = await quantizeModel(model, { ...options, calibration: given })
    expect(Buffer.compare(first.model, second.model)).toBe(0)
    const zeros = batches().map(({ x, state }) => ({
      x: x!,
      state: { ...state!, data: new Float32Array(state!.data.length) },
    }))
    const third = await quantizeModel(model, { ...options, calibration: zeros })
    expect(Buffer.compare(first.model, third.model)).not.toBe(0)
  })

  it('closes the model after an error and where the caller stops', async () => {
    let open = 0
    const counting: Runner = {
      name: 'counting',
      async load(bytes) {
        const own = await runner.load(bytes)
        open++
        return { ...own, run: own.run, close: () => own.close().then(() => void open--) }
      },
    }
    for await (const _ of carryStates({ runner: counting, model, feeds: batches(), carry })) break
    expect(open).toBe(0)
    const wrong = { ...carry, sequences: [[0]] }
    await expect(
      collected(carryStates({ runner: counting, model, feeds: batches(), carry: wrong })),
    ).rejects.toThrow('feeds, batch 1: expected 2 sequences, one for each sample, got (0)')
    expect(open).toBe(0)
  })

  it('ends with the signal', async () => {
    const controller = new AbortController()
    const feeds = batches()
    const run = collected(
      carryStates({
        ...{ runner, model, feeds, carry, signal: controller.signal },
        onProgress: () => controller.abort(new Error('enough')),
      }),
    )
    await expect(run).rejects.toThrow('enough')
  })
})

describe('states that do not fit', () => {
  const refused = (own: Partial<Carry>, feeds: Feeds[] = batches()) =>
    expect(collected(carryStates({ runner, model, feeds, carry: { ...carry, ...own } }))).rejects

  it('are refused by their names', async () => {
    await refused({ states: { state: 'stateN' } }).toThrow(
      "carry: expected an output of the model (y, stateN), got 'state'",
    )
    await refused({ states: { stateN: 'h' } }).toThrow(
      "carry: expected an input of the model (x, state), got 'h'",
    )
    await refused({ states: { stateN: 'state', y: 'state' } }).toThrow(
      "carry: expected one output for input 'state', got several",
    )
  })

  it('are refused by their shape', async () => {
    await refused({ states: { y: 'state' } }).toThrow(
      "output 'y': expected (2, N, 3) of float32 for input 'state' of the next step, got (2, 4) of float32",
    )
    await refused({ axes: {}, sequences: [[0, 1, 2]] }, [batches()[1]!]).toThrow(
      "output 'stateN': expected 3 samples on axis 0, as a state has them, got (2, 3, 3) of float32; say which of its axes",
    )
  })

  it('are refused where a sequence has no first value, or two steps in a batch', async () => {
    const [first] = batches()
    await refused({}, [{ x: first!.x! }]).toThrow(
      "feeds, batch 1: expected a first value of input 'state', got none",
    )
    await refused({ sequences: [[0, 0]] }).toThrow('expected 2 sequences, one for each sample, got (0, 0)')
  })

  it('are refused before anything is loaded where they are of the wrong kind', () => {
    const wrong = (own: object) => () =>
      carryStates({ runner, model, feeds: [], carry: { ...carry, ...own } })
    expect(wrong({ states: 'state' })).toThrow(
      'carry.states: expected names of inputs by outputs, got a string',
    )
    expect(wrong({ sequences: [0] })).toThrow('carry.sequences: expected an array of numbers for each batch')
  })
})

describe('models that are measured', () => {
  it('each carry their own states in compareModels', async () => {
    const second = await runner.load(other)
    const theirs: typeof byHand = []
    for (const [i, steps] of sequences.entries()) theirs.push(await stepByHand(second, steps, STARTS[i]!))
    await second.close()
    const largest = Math.max(
      ...byHand.flatMap(({ outputs }, sequence) =>
        outputs.flatMap((y, step) =>
          Array.from(y, Number).map((value, i) =>
            Math.abs(value - Number(theirs[sequence]!.outputs[step]![i])),
          ),
        ),
      ),
    )
    const result = await compareModels({
      ...{ runner, float: model, quantized: other, feeds: batches(), samples: 11, carry, output: 'y' },
    })
    expect(result.samples).toBe(11)
    expect(result.outputs[0]?.largestDifference).toBeCloseTo(largest, 5)
  })

  it('carry states in evaluate', async () => {
    const labels = places().map(([sequence, step]) => {
      const y = Array.from(byHand[sequence]!.outputs[step]!, Number)
      return y.indexOf(Math.max(...y))
    })
    const run = (own: Carry | undefined) =>
      evaluate({
        ...{ runner, model, feeds: batches(), samples: 11, carry: own, output: 'y' },
        labels: { type: 'int32', dims: [11], data: Int32Array.from(labels) },
      })
    expect(await run(carry)).toMatchObject({ top1: 1, samples: 11 })
    expect(await run(undefined)).not.toMatchObject({ top1: 1 })
  })
})
