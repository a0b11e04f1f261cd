/** Checks of arguments that callers without a compiler get wrong. Each error names the option. */
import type { Runner } from '../calibration/runner.js'
import { checkSignal, kindOf, rangeError, typeError } from '../checks.js'
import type { Model } from '../onnx/openModel.js'
import type { Feeds } from '../tensor/tensor.js'

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null

const has = (value: object, name: string): boolean => typeof Reflect.get(value, name) === 'function'

export function checkModel(place: string, source: unknown): asserts source is Uint8Array | Model {
  if (source instanceof Uint8Array || (isObject(source) && 'byteLength' in source && has(source, 'whole')))
    return
  throw typeError({ place, expected: 'a Uint8Array, or what openModel gives', got: kindOf(source) })
}

export function checkBytes(place: string, bytes: unknown): void {
  if (!(bytes instanceof Uint8Array)) throw typeError({ place, expected: 'a Uint8Array', got: kindOf(bytes) })
}

export function checkRunner(runner: unknown): asserts runner is Runner {
  if (isObject(runner) && has(runner, 'load')) return
  throw typeError({
    place: 'runner',
    expected: 'a runner of models',
    got: kindOf(runner),
    hint: 'createRunner makes one of ONNX Runtime',
  })
}

/** Options that are an object. */
export function checkOptions(options: unknown): void {
  if (!isObject(options)) throw typeError({ place: 'options', expected: 'an object', got: kindOf(options) })
}

/** What every run takes. */
export function checkRun(options: {
  readonly runner: Runner
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: unknown
}): void {
  checkOptions(options)
  checkRunner(options.runner)
  checkSignal(options.signal)
  const { onProgress } = options
  if (onProgress !== undefined && typeof onProgress !== 'function')
    throw typeError({ place: 'onProgress', expected: 'a function', got: kindOf(onProgress) })
}

/** A store of a checkpoint, or none. */
export function checkStore(store: unknown): void {
  if (store === undefined || (isObject(store) && has(store, 'get') && has(store, 'set'))) return
  throw typeError({
    place: 'checkpoint',
    expected: 'a store { get, set }',
    got: kindOf(store),
    hint: 'folderStore and storageStore make one',
  })
}

/** Batches that can be iterated. */
export function checkBatches(place: string, feeds: unknown): void {
  const isIterable = isObject(feeds) && (Symbol.asyncIterator in feeds || Symbol.iterator in feeds)
  if (!isIterable) throw typeError({ place, expected: 'an iterable of batches', got: kindOf(feeds) })
}

/** One batch: tensors by the names of inputs. */
export function checkBatch(place: string, batch: unknown): asserts batch is Feeds {
  if (!isObject(batch) || Array.isArray(batch))
    throw typeError({ place, expected: 'tensors by the names of inputs', got: kindOf(batch) })
  for (const [name, tensor] of Object.entries(batch)) {
    const fits =
      isObject(tensor) &&
      'dims' in tensor &&
      Array.isArray(tensor.dims) &&
      'data' in tensor &&
      'type' in tensor
    if (!fits || !ArrayBuffer.isView(tensor.data))
      throw typeError({
        place: `${place}, input ${name}`,
        expected: 'a tensor { type, dims, data }',
        got: kindOf(tensor),
      })
  }
}

/** Lists of globs. */
export function checkPatterns(place: string, patterns: unknown): void {
  if (!Array.isArray(patterns) || !patterns.every((pattern) => typeof pattern === 'string'))
    throw typeError({ place, expected: 'an array of globs', got: kindOf(patterns) })
  if (patterns.includes('')) throw rangeError(place, 'globs that are not empty', 'an empty one')
}

/** Options of single layers, each with the glob of their names. */
export function checkRules(place: string, rules: unknown): void {
  if (!Array.isArray(rules))
    throw typeError({ place, expected: 'an array of { pattern, … }', got: kindOf(rules) })
  for (const rule of rules) {
    if (!isObject(rule)) throw typeError({ place, expected: 'objects { pattern, … }', got: kindOf(rule) })
    checkPatterns(place, ['pattern' in rule ? rule.pattern : undefined])
  }
}
