/** The sessions of stages, each of one segment of the float network and one of the network quantized so far. */
import type { Network } from '../onnx/network.js'
import type { Stage } from '../onnx/stages.js'
import { ELEM_TYPES } from '../onnx/tensor.js'
import type { Tensor } from '../tensor/tensor.js'
import type { Runner, RunnerSession } from './runner.js'

/** Null where there is nothing to compute. */
interface Pair {
  readonly float: RunnerSession | null
  readonly quantized: RunnerSession | null
}

export class StageSessions {
  readonly #runner: Runner
  readonly #float: Network
  readonly #typeOf: (tensor: string) => Tensor['type']
  readonly #open = new Map<number, Pair>()

  constructor(runner: Runner, float: Network, typeOf: (tensor: string) => Tensor['type']) {
    this.#runner = runner
    this.#float = float
    this.#typeOf = typeOf
  }

  /** @param differing the tensors that differ in the quantized stream */
  async of(
    network: Network,
    index: number,
    { inputs, outputs, measured }: Stage,
    differing: () => readonly string[],
  ): Promise<Pair> {
    const known = this.#open.get(index)
    if (known !== undefined) return known
    const sessions = {
      float: await this.#load(this.#float, inputs, [...new Set([...outputs, ...measured])]),
      // While nothing is quantized, the streams are one.
      quantized: network.isFloat ? null : await this.#load(network, inputs, differing()),
    }
    this.#open.set(index, sessions)
    return sessions
  }

  async close(): Promise<void> {
    const open = [...this.#open.values()]
    this.#open.clear()
    for (const { float, quantized } of open) {
      await float?.close()
      await quantized?.close()
    }
  }

  async #load(
    network: Network,
    given: readonly string[],
    fetches: readonly string[],
  ): Promise<RunnerSession | null> {
    if (fetches.length === 0) return null
    const { roundedInputs } = network
    const rounded = given.filter((name) => roundedInputs.has(name)).map(this.#float.names.rounded)
    const names = [...given, ...rounded]
    const inputs = names.map((name, i) => {
      return { name, elemType: ELEM_TYPES[i < given.length ? this.#typeOf(name) : 'float32'] }
    })
    return this.#runner.load(network.segment(inputs, fetches))
  }
}
