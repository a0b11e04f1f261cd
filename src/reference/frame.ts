/**
 * First-order sigma-delta quantization on a harmonic frame (2404.08131), for one run of weights of one neuron, in
 * float64. Twin of assembly/frame.ts.
 */

export interface FrameRun {
  /** x: d weights, d even. */
  readonly weights: ArrayLike<number>
  /** F: the number of vectors. */
  readonly count: number
  readonly levels: number
  readonly scale: number
}

/** The vector e_k, with d entries. */
export function harmonicVector(k: number, count: number, dimension: number): number[] {
  return Array.from({ length: dimension }, (_, j) => {
    const angle = (2 * Math.PI * k * (Math.floor(j / 2) + 1)) / count
    return Math.sqrt(2 / dimension) * (j % 2 === 0 ? Math.cos(angle) : Math.sin(angle))
  })
}

/** <e_k, x> for every k. */
export function coefficients(weights: ArrayLike<number>, count: number): number[] {
  const x = Array.from(weights)
  return Array.from({ length: count }, (_, k) =>
    harmonicVector(k, count, x.length).reduce((sum, e, j) => sum + e * x[j]!, 0),
  )
}

/**
 * @param decide chooses a code, given its index and v / scale + z; tests replace the default by the choices of the kernel
 * @returns codes (F) and x̂ (d)
 */
export function frameQuantize(
  { weights, count, levels, scale }: FrameRun,
  decide: (k: number, position: number) => number = (_, position) =>
    Math.min(levels - 1, Math.max(0, Math.round(position))),
): { codes: number[]; values: number[] } {
  const dimension = weights.length
  const zero = (levels - 1) / 2
  const codes: number[] = []
  const values = new Array<number>(dimension).fill(0)
  let u = 0
  for (const [k, c] of coefficients(weights, count).entries()) {
    const v = u + c
    const code = decide(k, v / scale + zero)
    const q = scale * (code - zero)
    codes.push(code)
    u = v - q
    for (const [j, e] of harmonicVector(k, count, dimension).entries())
      values[j] = values[j]! + (dimension / count) * q * e
  }
  return { codes, values }
}
