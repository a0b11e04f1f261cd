/**
 * Which kernels ONNX Runtime Web really runs. A session with profiling prints one JSON event for each kernel that ran. In Node
 * the WebAssembly module prints through `fs.writeSync`, which is caught here while the profile is printed.
 */
import { createRequire } from 'node:module'
import type { ModelProto } from 'onnx-buf'
import { encodeModel } from '#src/onnx/model.js'
import * as b from '../build.js'

interface WritesText {
  writeSync(fd: number, text: string): number
}

const fs = createRequire(import.meta.url)('node:fs') as WritesText

interface ProfileEvent {
  readonly cat: string
  readonly name: string
  readonly args: { readonly op_name?: string }
}

/** A kernel that ran: its operator, and the name of the node that it computes (a fused node has the main one's name). */
export interface Kernel {
  readonly op: string
  readonly node: string
}

export interface ProfiledRun {
  readonly outputs: Record<string, b.ort.Tensor>
  readonly kernels: readonly Kernel[]
}

/** Runs the model once. */
export async function profile(model: ModelProto, feeds: Record<string, b.ort.Tensor>): Promise<ProfiledRun> {
  const session = await b.ort.InferenceSession.create(encodeModel(model), {
    enableProfiling: true,
    logSeverityLevel: 3,
  })
  try {
    const outputs = { ...(await session.run(feeds)) }
    const events = JSON.parse(printedBy(() => session.endProfiling())) as ProfileEvent[]
    const suffix = '_kernel_time'
    const kernels = events
      .filter(({ cat, name }) => cat === 'Node' && name.endsWith(suffix))
      .map(({ name, args }) => ({
        op: args.op_name ?? '',
        node: name.slice(0, -suffix.length).replace(/^fused |(_token_\d+|\/\w+Fusion\/?)$/g, ''),
      }))
    return { outputs, kernels }
  } finally {
    await session.release()
  }
}

function printedBy(print: () => void): string {
  const write = fs.writeSync
  let printed = ''
  fs.writeSync = (_, text) => {
    printed += text
    return text.length
  }
  try {
    print()
  } finally {
    fs.writeSync = write
  }
  return printed
}

/** Kernels that compute a layer on integers. */
const INTEGER = /^(QLinearConv|QLinearMatMul|QGemm|MatMulInteger|MatMulIntegerToFloat|DynamicQuantizeMatMul)$/
/** Kernels that compute a layer on floats. */
const FLOAT = /^(Fused)?(Conv|Gemm|MatMul|MatMulNBits)$/

/** Of these layers, those that run on integers and those that run on floats, sorted. */
export function layerKernels(
  kernels: readonly Kernel[],
  layers: readonly string[],
): { integer: string[]; float: string[] } {
  const matching = (pattern: RegExp) =>
    kernels
      .filter(({ op }) => pattern.test(op))
      .map(({ node }) => node)
      .filter((node) => layers.includes(node))
      .sort()
  return { integer: matching(INTEGER), float: matching(FLOAT) }
}
