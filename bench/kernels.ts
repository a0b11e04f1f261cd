/**
 * Table (a): the kernels alone, one thread, on operands that the caches hold as they do inside a layer, compared with
 * the same kernels in relaxed SIMD if the runtime has it. Multiply-adds count twice; elements outside a triangle and
 * padding do not count.
 */
import { loadFastModule } from '#src/engine/relaxedModule.js'
import { gramEdge } from '#src/methods/samplePlan.js'
import { PANEL_BYTES, substituteScratch } from '#src/wasm/kernels.js'
import { type Instance, instantiate, peakOf, peakProbe } from './machine.js'
import { type Case, cell, interleave } from './measure.js'
import { type Table, table } from './table.js'

interface Size {
  readonly inputs: number
  readonly neurons: number
  readonly samples: number
}

const WIDE: Size = { inputs: 512, neurons: 128, samples: 1024 }
/** A projection of a small transformer. */
const LARGE: Size = { inputs: 2048, neurons: 128, samples: 512 }
/** A convolution with few filters. */
const NARROW: Size = { inputs: 144, neurons: 16, samples: 4096 }

/** Columns of 8 neurons that a substitution processes together in layers of 4,096 neurons and more. */
const STRIP = 16

interface KernelCase extends Case {
  readonly kernel: string
  readonly size: Size
  readonly flops: number
  readonly bytes: number
}

export async function benchKernels(repetitions: number): Promise<Table> {
  const cases = await casesOf('gpfq.wasm')
  const relaxed = (await loadFastModule()) === null ? [] : await casesOf('gpfq.relaxed.wasm')
  const fast = relaxed.map((one) => ({ ...one, name: `${one.name}, relaxed` }))
  const times = await interleave(
    [await peakProbe(), ...cases.flatMap((one, i) => (fast[i] === undefined ? [one] : [one, fast[i]]))],
    repetitions,
  )
  const peak = peakOf(times.get('probe')!)
  return table(
    `(a) Kernels alone, one thread: min / median ± spread; the probe beside them reaches ${peak.toFixed(1)} GFLOP/s`,
    ['kernel', 'N', 'K', 'samples', 'milliseconds', 'GFLOP/s', 'of peak', 'GB/s', 'relaxed SIMD'],
    cases.map(({ name, kernel, size, flops, bytes }) => {
      const time = times.get(name)!
      const gflops = flops / time.min / 1e9
      const relaxedTime = times.get(`${name}, relaxed`)
      return {
        kernel,
        N: `${size.inputs}`,
        K: `${size.neurons}`,
        samples: `${size.samples}`,
        milliseconds: cell(time, 'ms'),
        'GFLOP/s': flops > 0 ? gflops.toFixed(1) : '',
        'of peak': flops > 0 ? (gflops / peak).toFixed(2) : '',
        'GB/s': bytes > 0 ? (bytes / time.min / 1e9).toFixed(1) : '',
        'relaxed SIMD':
          relaxedTime === undefined ? '–' : `${(time.min / relaxedTime.min).toFixed(2)} × as fast`,
      }
    }),
  )
}

/** Each size on a memory of its own. */
async function casesOf(file: string): Promise<KernelCase[]> {
  return [
    ...kernelCases(await instantiate(1024, file), WIDE),
    ...kernelCases(await instantiate(1024, file), LARGE),
    ...kernelCases(await instantiate(1024, file), NARROW),
  ]
}

/** All operands of a layer, filled with different numbers. */
function operands({ memory }: Instance, { inputs, neurons, samples }: Size) {
  const floats = new Float32Array(memory.buffer)
  for (let i = 0; i < floats.length; i++) floats[i] = ((i * 7919) % 1000) / 1000
  let top = 65536
  const room = (bytes: number): number => {
    const at = top
    top += Math.ceil(bytes / 64) * 64 + 4096
    return at
  }
  const panels = inputs / 8
  const at = {
    x: room((samples / 256) * panels * PANEL_BYTES),
    h: room(panels * panels * 256),
    w: room(inputs * neurons * 4),
    r: room(inputs * neurons * 4),
    scales: room(neurons * 4),
    zeros: room(neurons * 4),
    codes: room(inputs * neurons),
    scratch: room(substituteScratch(panels, STRIP)),
    source: room(samples * inputs * 4),
    rowAt: room(samples * 4),
    columnAt: room(inputs * 4),
  }
  floats.fill(1, at.scales / 4, at.scales / 4 + neurons)
  floats.fill(7, at.zeros / 4, at.zeros / 4 + neurons)
  const words = new Uint32Array(memory.buffer)
  for (let i = 0; i < samples; i++) words[at.rowAt / 4 + i] = 4 * i * inputs
  for (let i = 0; i < inputs; i++) words[at.columnAt / 4 + i] = 4 * i
  return { ...at, panels, columns: neurons / 8 }
}

function kernelCases(instance: Instance, size: Size): KernelCase[] {
  const { kernels } = instance
  const { inputs: N, neurons: K, samples } = size
  const { panels, columns, ...at } = operands(instance, size)
  const edge = gramEdge(panels)
  const side = Math.ceil(panels / edge)
  const pack = (contiguous: number) => () =>
    kernels.pack!(
      ...[at.source, 0, at.rowAt, at.columnAt, contiguous, samples, N, 1, at.x, panels, PANEL_BYTES, 0],
      ...[0, (samples / 256) * panels],
    )
  const one = (kernel: string, work: { flops?: number; bytes?: number }, run: () => unknown): KernelCase => ({
    ...{ name: `${kernel} ${N}`, kernel, size, flops: 0, bytes: 0 },
    ...work,
    run,
  })
  return [
    one('pack, dense rows', { bytes: 8 * samples * N }, pack(1)),
    one('pack, scattered taps', { bytes: 8 * samples * N }, pack(0)),
    one('gram (H, triangle)', { flops: samples * N * (N + 1) }, () =>
      kernels.gram!(
        ...[at.x, at.x, at.h, 0, samples, panels, 1, PANEL_BYTES, panels * PANEL_BYTES],
        ...[1, 1, edge, 0, (side * (side + 1)) / 2],
      ),
    ),
    one('project (R = tril(G)W)', { flops: N * (N + 1) * K }, () =>
      kernels.project!(at.h, at.w, at.r, 0, panels, 1, columns, 0, Math.ceil(panels / 8) * columns),
    ),
    one('substitute', { flops: N * (N - 1) * K }, () =>
      kernels.substitute!(
        ...[at.h, 0, at.w, at.r, 0, at.scales, at.zeros, at.codes, 0, at.scratch],
        ...[N, panels, 1, columns, 1, 1, N, 14, 1, STRIP],
        ...[0, columns, 0],
      ),
    ),
  ]
}
