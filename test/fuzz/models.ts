/** The fuzz target of models: decoded, planned with random options, written down as JSON, and inspected. */
import { clone } from '@bufbuild/protobuf'
import { ModelProtoSchema } from 'onnx-buf'
import { inspect } from '#src/cli/inspect.js'
import { GpfqError } from '#src/errors.js'
import { planModel } from '#src/model/quantizeModel.js'
import { encodeModel } from '#src/onnx/model.js'
import { openModel } from '#src/onnx/openModel.js'
import type { PlanModelOptions } from '../../src/options.js'
import type { FuzzTarget } from './fuzz.js'
import { mutateModel } from './mutateModel.js'
import type { Random } from './random.js'
import { EXTERNAL_PATH, seedModels } from './seedModels.js'

const models = seedModels()
const signal = new AbortController().signal

export const modelTarget: FuzzTarget = {
  name: 'models',
  seeds: models.map(encodeModel),
  structured(random) {
    const model = clone(ModelProtoSchema, random.pick(models))
    mutateModel(model, random)
    return encodeModel(model)
  },
  async read(bytes, random) {
    if (random.chance(0.1)) return JSON.stringify(await inspect('/nowhere/model.onnx', bytes, signal))
    const model = await openModel(bytes, async (path) => {
      if (path.startsWith('/') || path.split('/').includes('..')) throw new Error(`a path outside: ${path}`)
      if (path === EXTERNAL_PATH) return new Uint8Array(256)
      throw new GpfqError('FILE_ACCESS', { place: path, problem: 'no such file' })
    })
    return JSON.stringify(await planModel(model, randomOptions(random)))
  },
  bound: { base: 2000, perByte: 10 },
}

/** Options that are valid or not: those that are not are refused before the model is looked at. */
function randomOptions(random: Random): PlanModelOptions {
  const pattern = random.pick(['*', 'w*', 'y', 'y_node', '__proto__', '**', 'c{1,2}', 'nothing'])
  return {
    levels: random.pick([2, 3, 7, 15, 16, 255, 256]),
    format: random.pick(['auto', 'packed', 'qdq', 'nbits', 'float']),
    scalePer: random.pick(['neuron', 'layer', { group: 16 }, { group: 1 }]),
    foldBatchNorm: random.chance(0.7),
    ...(random.chance(0.5) && { activations: { bits: 8, byteInputs: random.chance(0.5) } }),
    ...(random.chance(0.2) && { include: [pattern] }),
    ...(random.chance(0.2) && { exclude: [pattern] }),
    ...(random.chance(0.2) && { levelsFor: [{ pattern, levels: 3 }] }),
    ...(random.chance(0.1) && { perChannel: true }),
    ...(random.chance(0.1) && { biasCorrection: true }),
    ...(random.chance(0.3) && {
      inputs: { c: { type: 'bool', dims: [], data: Uint8Array.of(random.pick([0, 1])) } },
    }),
  }
}
