/**
 * The two 16-bit float types of ONNX weights, float16 and bfloat16, to and from float32. Float16Array is too new to be in
 * all supported engines. Rounding is half to even, overflow gives infinity, subnormals are kept.
 *
 * Tensors of float16 networks have millions of values, so none of these functions allocates for a value: a table has the
 * value of every float16, and rounding is arithmetic on the bits of a float64.
 */

const double = new Float64Array(1)
const words = new Uint32Array(double.buffer) // (low, high)
const single = new DataView(new ArrayBuffer(4))

/** The values of all 65,536 float16 bits, made when they are first needed. */
let table: Float32Array | undefined

const valueTable = (): Float32Array => {
  table ??= Float32Array.from({ length: 2 ** 16 }, (_, bits) => decode(bits))
  return table
}

function decode(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1
  const exponent = (bits >> 10) & 0x1f
  const fraction = bits & 0x3ff
  if (exponent === 0) return sign * fraction * 2 ** -24
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
}

/** The value of float16 bits. */
export function float16ToFloat32(bits: number): number {
  return valueTable()[bits & 0xffff]!
}

/** The values of an array of float16 bits. */
export function float16Values(bits: ArrayLike<number>): Float32Array<ArrayBuffer> {
  const values = valueTable()
  const out = new Float32Array(bits.length)
  for (let i = 0; i < out.length; i++) out[i] = values[bits[i]! & 0xffff]!
  return out
}

/** Upper words of float64 values: 2^-14, the least normal float16, and 65520, from which on float16 is infinite. */
const LEAST_NORMAL = 0x3f100000
const OVERFLOW = 0x40effe00
/** What the exponents of float64 and float16 differ by: (1023 − 15)·2^20. */
const BIAS = 0x3f000000

/** The bits of the nearest float16. */
export function float32ToFloat16(value: number): number {
  double[0] = value
  const sign = (words[1]! >>> 16) & 0x8000
  const magnitude = words[1]! & 0x7fffffff
  if (magnitude >= OVERFLOW) return Number.isNaN(value) ? 0x7e00 : sign | 0x7c00
  // A float64 above 2^52 is an integer, so the sum rounds half to even.
  if (magnitude < LEAST_NORMAL) return sign | (Math.abs(value) * 2 ** 24 + 2 ** 52 - 2 ** 52)
  // The low word only decides whether the value is above a tie.
  const fraction = words[0] === 0 ? magnitude : magnitude | 1
  return sign | ((fraction - BIAS + 0x1ff + ((magnitude >>> 10) & 1)) >>> 10)
}

/** The bits of the nearest float16 of each value. */
export function float16Bits(values: ArrayLike<number>): Uint16Array<ArrayBuffer> {
  const out = new Uint16Array(values.length)
  for (let i = 0; i < out.length; i++) out[i] = float32ToFloat16(values[i]!)
  return out
}

/** The value of bfloat16 bits. */
export function bfloat16ToFloat32(bits: number): number {
  single.setUint32(0, bits << 16)
  return single.getFloat32(0)
}

/** The bits of the nearest bfloat16. */
export function float32ToBfloat16(value: number): number {
  if (Number.isNaN(value)) return 0x7fc0
  single.setFloat32(0, value)
  const bits = single.getUint32(0)
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff
}
