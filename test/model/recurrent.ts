/** A step of a recurrent network with the state (2, N, 3), and the same stepped by hand in ONNX Runtime, one sequence alone. */
import type { RunnerSession } from '#src/calibration/runner.js'
import { encodeModel } from '#src/onnx/model.js'
import type { Tensor } from '#src/tensor/tensor.js'
import * as b from '../onnx/build.js'

export const WIDTH = 4
export const HIDDEN = 3

/**
 * h = tanh(x W + state[1] U + state[0] T), y = h V, stateN = [state[1]; h].
 * @param batch the batch dimension of x and of the state
 */
export const recurrent = (batch: number | string = 'N', seed = 1): Uint8Array => {
  const at = (i: string, o: string): ReturnType<typeof b.node>[] => [
    b.node('Gather', ['state', i], [o], { axis: 0 }),
  ]
  return encodeModel(
    b.model(
      [
        ...at('zero', 'older'),
        ...at('one', 'last'),
        b.node('MatMul', ['x', 'w'], ['xw']),
        b.node('MatMul', ['last', 'u'], ['lu']),
        b.node('MatMul', ['older', 't'], ['ot']),
        b.node('Add', ['xw', 'lu'], ['s1']),
        b.node('Add', ['s1', 'ot'], ['s2']),
        b.node('Tanh', ['s2'], ['h']),
        b.node('MatMul', ['h', 'v'], ['y']),
        b.node('Unsqueeze', ['last', 'axes'], ['l1']),
        b.node('Unsqueeze', ['h', 'axes'], ['h1']),
        b.node('Concat', ['l1', 'h1'], ['stateN'], { axis: 0 }),
      ],
      [
        b.ints('zero', [], [0]),
        b.ints('one', [], [1]),
        b.ints('axes', [1], [0]),
        b.noisy('w', [WIDTH, HIDDEN], seed),
        b.noisy('u', [HIDDEN, HIDDEN], seed + 1),
        b.noisy('t', [HIDDEN, HIDDEN], seed + 2),
        b.noisy('v', [HIDDEN, WIDTH], seed + 3),
      ],
      [
        b.value('x', b.DataType.FLOAT, [batch, WIDTH]),
        b.value('state', b.DataType.FLOAT, [2, batch, HIDDEN]),
      ],
      [b.value('y', b.DataType.FLOAT, [batch, WIDTH]), 'stateN'],
    ),
  )
}

/** Step after step, one sample a run: the state that each step begins with, and its output. */
export async function stepByHand(
  session: RunnerSession,
  steps: Float32Array,
  first: Float32Array = new Float32Array(2 * HIDDEN),
): Promise<{ states: Tensor['data'][]; outputs: Tensor['data'][] }> {
  const found: { states: Tensor['data'][]; outputs: Tensor['data'][] } = { states: [], outputs: [] }
  let state: Tensor = { type: 'float32', dims: [2, 1, HIDDEN], data: first }
  for (let at = 0; at < steps.length; at += WIDTH) {
    const x: Tensor = { type: 'float32', dims: [1, WIDTH], data: steps.slice(at, at + WIDTH) }
    const { y, stateN } = await session.run({ x, state })
    if (y === undefined || stateN === undefined) throw new Error('an output is missing')
    found.states.push(state.data)
    found.outputs.push(y.data)
    state = stateN
  }
  return found
}
