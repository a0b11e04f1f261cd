/** Inputs of models, and their outputs in ONNX Runtime. */
import type { Feeds } from '#src/tensor/tensor.js'
import * as b from '../onnx/build.js'

export const feedOf = (dims: number[], seed: number): Feeds[string] => ({
  type: 'float32',
  dims,
  data: b.noise(
    dims.reduce((count, dim) => count * dim, 1),
    seed,
  ),
})

export async function outputsOf(bytes: Uint8Array, feeds: Feeds): Promise<readonly Float32Array[]> {
  const ortFeeds = Object.entries(feeds).map(([name, { type, dims, data }]) => [
    name,
    type === 'bool'
      ? new b.ort.Tensor('bool', Uint8Array.from(data as Uint8Array), [...dims])
      : type === 'int64'
        ? new b.ort.Tensor('int64', data as BigInt64Array, [...dims])
        : b.tensor([...dims], data as Float32Array),
  ])
  const results = await b.run(bytes, Object.fromEntries(ortFeeds))
  return Object.values(results).map(({ data }) => data as Float32Array)
}
