/**
 * What each app does with the package: a layer by "gpfq" and the demo model by "gpfq/onnx". Given the same bytes every app
 * must answer the same; Node says what.
 */
import { createQuantizer } from 'gpfq'
import { createOrtWebRunner, quantizeModel } from 'gpfq/onnx'

/** @param {Uint8Array} model digits.onnx */
export async function quantizeAll(model) {
  const layer = await quantizeOneLayer(createQuantizer)
  const image = { type: 'float32', dims: [16, 1, 28, 28], data: numbers(16 * 784).map(Math.abs) }
  const result = await quantizeModel(model, {
    runner: await createOrtWebRunner(),
    calibration: [{ image }],
  })
  return {
    ...layer,
    model: await sha256(result.model),
    saved: result.report.bytesOut < result.report.bytesIn / 3,
  }
}

/** @param {typeof import('gpfq').createQuantizer} create */
export async function quantizeOneLayer(create) {
  const quantizer = await create({ threads: 2 })
  const { codes } = await quantizer.quantizeLayer({
    weights: numbers(96 * 24),
    inputs: 96,
    neurons: 24,
    samples: numbers(96 * 400),
  })
  await quantizer.close()
  return { mode: quantizer.mode, codes: await sha256(codes) }
}

/** In [−0.5, 0.5), always the same. */
function numbers(length) {
  let state = 1
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32 - 0.5
  })
}

async function sha256(bytes) {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('')
}
