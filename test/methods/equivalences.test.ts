/**
 * Equivalences that the papers prove, tested on our methods: different computations that must give the same codes. Each is
 * compared with one float64 twin. Neurons near a tie, where float32 can round either way, are counted, and all others must
 * agree. (qronos.test.ts has Qronos = GPTQ where Xq = X, spfq.test.ts the one phase of SPFQ against two.)
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { LayerOptions, LayerProblem, Quantizer } from '#src/quantizer.js'
import { damped } from '#src/reference/nearestPlane.js'
import { randomFrom } from '../random.js'
import {
  type Chosen,
  countNearTies,
  descends,
  type LayerCase,
  layerCases,
  layerOf,
  openQuantizers,
  orderOf,
  type TwinLayer,
  withMatrices,
} from './twin.js'
import { countBeaconTies, gpfq, METHOD_CASES, preprocessed } from './twins.js'

const [quantizer] = (await openQuantizers(2)) as [Quantizer]

const max = { rule: 'max' as const }

/** R, upper triangular, with RᵀR = `matrix` (n, n). */
function cholesky(matrix: ArrayLike<number>, n: number): Float64Array {
  const r = new Float64Array(n * n)
  for (let i = 0; i < n; i++) {
    for (let j = i; j < n; j++) {
      let rest = matrix[i * n + j]!
      for (let k = 0; k < i; k++) rest -= r[k * n + i]! * r[k * n + j]!
      r[i * n + j] = j === i ? Math.sqrt(rest) : rest / r[i * n + i]!
    }
  }
  return r
}

/** The layer on N samples instead of m: Xq' = R, X' = R⁻ᵀG with RᵀR = H, so that H and G are the same. */
function squareRoot(layer: TwinLayer): LayerProblem {
  const { inputs: n, neurons, weights, h, g } = layer
  const r = cholesky(h, n)
  const x = Float64Array.from(g)
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      for (let k = 0; k < i; k++) x[i * n + j] = x[i * n + j]! - r[k * n + i]! * x[k * n + j]!
      x[i * n + j] = x[i * n + j]! / r[i * n + i]!
    }
  }
  return {
    ...{ inputs: n, neurons, weights },
    samples: Float32Array.from(x),
    quantizedSamples: Float32Array.from(r),
  }
}

/** Layers with three samples an input at least and no dead input: H has a root. */
const regular = layerCases.map((c): LayerCase => {
  const inputs = Math.min(c.inputs, 40)
  return { ...c, inputs, rows: c.rows + 3 * inputs }
})
function regularLayer(c: LayerCase): TwinLayer {
  const given = layerOf(c)
  const alive = (x: Float32Array): Float32Array =>
    x.map((v, i) => (i % c.inputs === 5 ? x[i - 1]! * x[i - 2]! + 0.3 * x[i - 4]! : v))
  const { inputs, neurons, weights, samples, quantizedSamples } = given
  const problem = { inputs, neurons, weights, samples: alive(samples) }
  return withMatrices(
    quantizedSamples === undefined ? problem : { ...problem, quantizedSamples: alive(quantizedSamples) },
    c.rows,
  )
}

describe('GPFQ', () => {
  it('chooses the same codes from the samples and from a square root of H', async () => {
    let [neurons, ties] = [0, 0]
    await fc.assert(
      fc.asyncProperty(regular, fc.constantFrom(3, 7, 15), async (given, levels) => {
        const layer = regularLayer(given)
        for (const problem of [layer, squareRoot(layer)]) {
          const result = await quantizer.quantizeLayer(problem, { levels, radius: max })
          ties += countNearTies(layer, result, levels, orderOf(layer, false), gpfq)
          neurons += given.neurons
        }
      }),
      { seed: 161, numRuns: 20 },
    )
    expect(ties).toBeLessThan(0.02 * neurons)
  })
})

describe('GPTQ', () => {
  it('is Babai’s nearest-plane algorithm (2507.18553) if inputs go from the last to the first', async () => {
    let [neurons, ties] = [0, 0]
    await fc.assert(
      fc.asyncProperty(layerCases, fc.constantFrom(3, 7, 15), async (given, levels) => {
        const layer = layerOf(given)
        const { inputs, rows, samples, quantizedSamples = samples } = layer
        // The basis of the lattice: columns of Xq above those of √λ·I, orthogonalized from the first on (Gram-Schmidt).
        const lambda = damped(layer.h, inputs, 0.01)[0]! - layer.h[0]!
        const basis = Array.from({ length: inputs }, (_, t) =>
          Float64Array.from({ length: rows + inputs }, (_, r) =>
            r < rows ? quantizedSamples[r * inputs + t]! : r === rows + t ? Math.sqrt(lambda) : 0,
          ),
        )
        const planes: Float64Array[] = []
        for (const vector of basis) {
          const own = Float64Array.from(vector)
          for (const plane of planes) addScaled(own, plane, -dot(own, plane) / dot(plane, plane))
          planes.push(own)
        }
        const last = inputs - 1
        const samplesTurned = quantizedSamples.map((_, i) => quantizedSamples[i - 2 * (i % inputs) + last]!)
        const result = await quantizer.quantizeLayer(
          { inputs, neurons: given.neurons, weights: turned(layer.weights, given), samples: samplesTurned },
          { method: 'gptq', actOrder: false, levels, radius: max },
        )
        const codes = turned(result.codes, given)
        const backwards = Array.from({ length: inputs }, (_, t) => last - t)
        ties += countNearTies(layer, { ...result, codes }, levels, backwards, ({ w, choose }) => {
          // The rest of the target. w and choose index the inputs by their place, the last input first.
          const left = new Float64Array(rows + inputs)
          for (const [place, value] of w.entries()) addScaled(left, basis[last - place]!, value)
          return w.map((_, place) => {
            const t = last - place
            const q = choose(place, dot(left, planes[t]!) / dot(planes[t]!, planes[t]!))
            addScaled(left, basis[t]!, -q)
            return q
          })
        })
        neurons += given.neurons
      }),
      { seed: 162, numRuns: 20 },
    )
    expect(ties).toBeLessThan(0.02 * neurons)
  })
})

/** Rows of (inputs, neurons), the last one first. */
const turned = <T extends Float32Array | Uint8Array>(values: T, { inputs, neurons }: LayerCase): T =>
  values.map((_, i) => values[(inputs - 1 - Math.floor(i / neurons)) * neurons + (i % neurons)]!) as T

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!
  return sum
}

/** to += factor·from */
function addScaled(to: Float64Array, from: Float64Array, factor: number): void {
  for (let i = 0; i < to.length; i++) to[i] = to[i]! + factor * from[i]!
}

/** Every method with how its codes are compared with those of its twin. */
interface Compared {
  readonly name: string
  readonly options: LayerOptions
  /** Codes of a neuron depend on its number. */
  readonly counted?: boolean
  /** Needs fewer samples than inputs. */
  readonly wide?: boolean
  readonly ties: (layer: TwinLayer, chosen: Chosen, levels: number) => number
}
const METHODS: readonly Compared[] = [
  ...METHOD_CASES.map(
    ({ name, options, twin, decide, counted = false }): Compared => ({
      ...{ name, counted },
      options: { ...options, radius: max },
      ties: (layer, chosen, levels) =>
        countNearTies(
          layer,
          chosen,
          levels,
          orderOf(layer, descends({ ...options, radius: max })),
          twin,
          decide,
        ),
    }),
  ),
  {
    name: 'beacon',
    options: { method: 'beacon', passes: 2 },
    ties: (layer, result, levels) => countBeaconTies(layer, result, levels, 2),
  },
  {
    name: 'msq after the vertex walk',
    options: { method: 'msq', preprocess: true },
    wide: true,
    ties: (layer, result, levels) =>
      countNearTies(layer, result, levels, orderOf(layer, false), preprocessed(levels)),
  },
]

describe.each(METHODS)('$name', ({ options, counted, wide, ties: count }) => {
  const fit = (c: LayerCase): LayerCase => (wide ? { ...c, rows: Math.min(c.rows, c.inputs - 1) } : c)

  it('does not depend on the order of the samples', async () => {
    let [neurons, ties] = [0, 0]
    await fc.assert(
      fc.asyncProperty(layerCases.map(fit), fc.constantFrom(3, 7, 15), async (given, levels) => {
        const layer = layerOf(given)
        const random = randomFrom(given.seed + 5)
        const order = Array.from({ length: given.rows }, (_, r) => ({ r, key: random() }))
          .sort((a, b) => a.key - b.key)
          .map(({ r }) => r)
        const shuffled = (x: Float32Array): Float32Array =>
          x.map((_, i) => x[order[Math.floor(i / given.inputs)]! * given.inputs + (i % given.inputs)]!)
        const { samples, quantizedSamples } = layer
        const permuted = {
          ...layer,
          samples: shuffled(samples),
          ...(quantizedSamples === undefined ? {} : { quantizedSamples: shuffled(quantizedSamples) }),
        }
        const one = await quantizer.quantizeLayer(layer, { ...options, levels })
        const other = await quantizer.quantizeLayer(permuted, { ...options, levels })
        expect(other.deadInputs).toBe(one.deadInputs)
        ties += count(layer, one, levels) + count(layer, other, levels)
        neurons += 2 * given.neurons
      }),
      { seed: 163, numRuns: 10 },
    )
    expect(ties).toBeLessThan(0.05 * neurons)
  })

  it.skipIf(counted)(
    'quantizes neurons independently: together and one by one give the same codes',
    async () => {
      await fc.assert(
        fc.asyncProperty(layerCases.map(fit), fc.boolean(), async (given, searching) => {
          const layer = layerOf({ ...given, neurons: Math.min(11, given.neurons) })
          const { inputs, neurons, weights } = layer
          const search = searching && options.radius !== undefined
          const own: LayerOptions = search ? { ...options, radius: { rule: 'search' } } : options
          const together = await quantizer.quantizeLayer(layer, own)
          for (let k = 0; k < neurons; k++) {
            const column = Float32Array.from({ length: inputs }, (_, t) => weights[t * neurons + k]!)
            const alone = await quantizer.quantizeLayer({ ...layer, weights: column, neurons: 1 }, own)
            expect(alone.codes).toEqual(together.codes.filter((_, i) => i % neurons === k))
            expect(alone.scales).toEqual(together.scales.filter((_, i) => i % neurons === k))
          }
        }),
        { seed: 164, numRuns: 5 },
      )
    },
  )
})
