/**
 * Table (a): the kernels alone, one thread, on operands that the caches hold as they do inside a layer. Multiply-adds
 * count twice; what a triangle leaves out is not counted, padding is not counted.
 */
import { instantiate, type Machine } from './machine.js'
import { type Case, cell, interleave } from './measure.js'
import { type Table, table } from './table.js'

const N = 512
const K = 128
const ROWS = 1024
const PANELS = N / 8

export async function benchKernels(machine: Machine, repetitions: number): Promise<Table> {
  const { kernels, memory } = await instantiate(4096)
  const floats = new Float32Array(memory.buffer)
  for (let i = 0; i < floats.length; i++) floats[i] = ((i * 7919) % 1000) / 1000
  let top = 65536
  const room = (bytes: number): number => {
    const at = top
    top += Math.ceil(bytes / 64) * 64 + 4096
    return at
  }
  const x = room(ROWS * N * 4)
  const h = room(PANELS * PANELS * 256)
  const w = room(N * K * 4)
  const r = room(N * K * 4)
  const n = room(N * K * 4)
  const scales = room(K * 4)
  const zeros = room(K * 4)
  const codes = room(N * K)
  const scratch = room(8 * (PANELS + 32) * 256)
  const u = room(ROWS * K * 4)
  const z = room((ROWS / 256) * K * 64 * 4)
  const source = room(ROWS * N * 4)
  const rowAt = room(ROWS * 4)
  const columnAt = room(N * 4)
  floats.fill(1, scales / 4, scales / 4 + K)
  floats.fill(7, zeros / 4, zeros / 4 + K)
  const words = new Uint32Array(memory.buffer)
  for (let i = 0; i < ROWS; i++) words[rowAt / 4 + i] = 4 * i * N
  for (let i = 0; i < N; i++) words[columnAt / 4 + i] = 4 * i

  const tiles = ((PANELS / 8) * (PANELS / 8 + 1)) / 2
  const cases: (Case & { readonly flops: number; readonly bytes: number })[] = [
    {
      name: 'pack, dense rows',
      flops: 0,
      bytes: 8 * ROWS * N,
      run: () =>
        kernels.pack!(source, 0, rowAt, columnAt, 1, ROWS, N, 1, x, PANELS, 256, 0, 0, (ROWS / 256) * PANELS),
    },
    {
      name: 'pack, scattered taps',
      flops: 0,
      bytes: 8 * ROWS * N,
      run: () =>
        kernels.pack!(source, 0, rowAt, columnAt, 0, ROWS, N, 1, x, PANELS, 256, 0, 0, (ROWS / 256) * PANELS),
    },
    {
      name: 'gram (H, triangle)',
      flops: ROWS * N * (N + 1),
      bytes: 0,
      run: () => kernels.gram!(x, x, h, ROWS, PANELS, 1, 1, 1, 8, 0, tiles),
    },
    {
      name: 'project (R = tril(G)W)',
      flops: N * (N + 1) * K,
      bytes: 0,
      run: () => kernels.project!(h, w, r, 0, PANELS, 1, K / 8, 0, (PANELS / 8) * (K / 8)),
    },
    {
      name: 'substitute',
      flops: N * (N - 1) * K,
      bytes: 0,
      run: () =>
        kernels.substitute!(
          h,
          w,
          r,
          0,
          scales,
          zeros,
          codes,
          0,
          scratch,
          N,
          PANELS,
          1,
          K / 8,
          1,
          1,
          N,
          14,
          1,
          8,
          0,
          K / 8,
          0,
        ),
    },
    // One block of 64 inputs: U += X W − Xq Q of the block before, Z = XqᵀU of this one.
    {
      name: 'advance (direct form)',
      flops: 6 * ROWS * 64 * K,
      bytes: 0,
      run: () =>
        kernels.advance!(x, x, u, w, n, z, ROWS, PANELS / 8, 8, 1, K / 8, K / 8, 0, 1, 0, ROWS / 256),
    },
  ]
  const times = await interleave(cases, repetitions)
  return table(
    `(a) Kernels alone: N = ${N}, K = ${K}, ${ROWS} samples, one thread: min / median ± spread`,
    ['kernel', 'milliseconds', 'GFLOP/s', 'of peak', 'GB/s'],
    cases.map(({ name, flops, bytes }) => {
      const time = times.get(name)!
      const { min } = time
      const gflops = flops / min / 1e9
      return {
        kernel: name,
        milliseconds: cell(time, 'ms'),
        'GFLOP/s': flops > 0 ? gflops.toFixed(1) : '',
        'of peak': flops > 0 ? (gflops / machine.peakGflops).toFixed(2) : '',
        'GB/s': bytes > 0 ? (bytes / min / 1e9).toFixed(1) : '',
      }
    }),
  )
}
